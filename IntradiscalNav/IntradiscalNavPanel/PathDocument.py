"""The paths as the scene keeps them: one document with the book, the session and what their numbers rest on."""

import dataclasses
from typing import Any

from .SessionNeedles import SessionNeedles


@dataclasses.dataclass(frozen=True)
class PathDocument:
    """`book` is a TrajectoryBook, `basis` what its numbers rest on, as plain values (None where unknown)."""

    book: Any
    session: SessionNeedles
    message: str
    basis: Any

    def store(self, scene):
        """Write or replace the document of the scene; returns its stamp."""
        from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument

        content = {"book": self.book.toDict(), "session": self.session.toDict(), "message": self.message, "basis": self.basis}
        storeDocument(scene, DocumentRole.PATHS, content)
        return stampOf(scene)

    @staticmethod
    def read(scene):
        """The document of a scene that has one.

        :raises ValueError: when it can't be read, saying why
        """
        from IntradiscalNavLib.Planning.TrajectoryBook import TrajectoryBook
        from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument

        content = readDocument(scene, DocumentRole.PATHS)
        try:
            book, session = TrajectoryBook.fromDict(content["book"]), SessionNeedles.fromDict(content.get("session", {}))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return PathDocument(book, session, str(content.get("message", "")), content.get("basis"))


def stampOf(scene):
    """Tells one state of the scene's document from another; None where the scene has none."""
    from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, findDocumentNode

    node = findDocumentNode(scene, DocumentRole.PATHS)
    return None if node is None else (node.GetID(), node.GetText())
