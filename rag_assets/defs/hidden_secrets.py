"""The border to Dagster: no error goes into its storage, its UI or the output of a run with a secret in it.

Errors of this package hide secrets themselves. Others quote an address, a header or an argument as they like, in any of their
causes.
"""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from rag_assets.secret_values import shown_error


@contextmanager
def secrets_hidden() -> Generator[None]:
    """Replace an error that quotes a secret. Also a decorator."""
    try:
        yield
    except (dg.Failure, dg.RetryRequested) as error:
        if shown_error(error) is not error:  # one of its causes: the message is ours
            error.__cause__ = None
            error.__suppress_context__ = True
        raise
    except Exception as error:
        if (shown := shown_error(error)) is error:
            raise
        raise shown from None
