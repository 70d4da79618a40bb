"""What can be asked of the review of a saved procedure, and why it can't be done now."""

import enum
import pathlib

from slicer.i18n import tr as _


class ReviewAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the method of CaseReviewing."""

    OpenCase = "openCase"
    Review = "start"
    Play = "play"
    Pictures = "writePictures"
    Clip = "writeClip"


def whyNot(review, logic, parameterNode, action):
    """Why a ReviewAction can't be done now, in a sentence; empty if it can."""
    return {
        ReviewAction.OpenCase: _whyNotOpen,
        ReviewAction.Review: _whyNotReview,
        ReviewAction.Play: _whyNotPlay,
        ReviewAction.Pictures: _whyNotPictures,
        ReviewAction.Clip: _whyNotClip,
    }[action](review, logic, parameterNode)


def whyLive(logic):
    """Why nothing may be replayed while a stream runs; empty if none does."""
    if logic.isConnecting or logic.isRehearsing or logic.isGuiding:
        return _("The stream is running: disconnect first. A replay must never be taken for live.")
    return ""


def _whyNotOpen(review, logic, parameterNode):
    from IntradiscalNavLib.Recording.CaseFolder import isCaseFolder

    why = whyLive(logic)
    folder = parameterNode.caseFolder
    if not why and (folder == pathlib.Path() or not isCaseFolder(folder)):
        why = _("Choose the folder of a case first.")
    return why


def _whyNotReview(review, logic, parameterNode):
    why = whyLive(logic)
    if not why and not review.sources(parameterNode):
        why = _("Neither the scene nor the case folder holds a recording.")
    return why


def _whyNotPlay(review, logic, parameterNode):
    if not review.isOn:
        return _("Start the review first.")
    return review.problem if review.replay is None else ""


def _whyNotPictures(review, logic, parameterNode):
    why = _whyNotPlay(review, logic, parameterNode)
    if not why and review.views is None:
        why = _("The navigation views aren't shown.")
    if not why and parameterNode.caseFolder == pathlib.Path():
        why = _("Choose a folder for the case first.")
    return why


def _whyNotClip(review, logic, parameterNode):
    from IntradiscalNavLib.Recording.ReplayClip import whyNoClip

    return _whyNotPictures(review, logic, parameterNode) or whyNoClip()
