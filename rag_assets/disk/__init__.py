"""Files and folders: private folders, atomic state files, sparse copies."""
