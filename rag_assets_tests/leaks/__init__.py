"""Canary secrets in every variable and file, failures forced everywhere, and a scan of all that is kept or shown.

`canaries` derives the variables from the settings and the options of sources, `servers` fail and repeat what they were sent,
`scanner` finds a canary in any form, `scenes` put one failing part at a time into a knowledge base.
"""
