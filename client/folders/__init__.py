"""Folder in, folder out: restores every picture of a folder, and can be interrupted at any moment."""

from client.folders.manifest import Entry, Manifest
from client.folders.order import FolderOrder, OrderRefused
from client.folders.run import FolderRun, Watcher

__all__ = ["Entry", "FolderOrder", "FolderRun", "Manifest", "OrderRefused", "Watcher"]
