"""A shop's store, with everything that belongs to it, copied while it is in use, and put back."""

from recsys.backup.contents import Backup
from recsys.backup.restoring import Restored, restore
from recsys.backup.writing import back_up

__all__ = ["Backup", "Restored", "back_up", "restore"]
