"""Why the accepted registration is in doubt, kept in the scene so that every module shows it until it is confirmed."""

import json

import slicer


def readDoubt(textNode):
    """Sentences of the text node that keeps them; empty without one."""
    text = textNode.GetText() if textNode is not None else ""
    return tuple(json.loads(text)) if text else ()


def writeDoubt(parameterNode, reasons):
    """Keep sentences in the parameter node's `doubt`; the node is made when there is something to say."""
    reasons = tuple(reasons)
    if readDoubt(parameterNode.doubt) == reasons:
        return
    if parameterNode.doubt is None:
        parameterNode.doubt = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationDoubt")
    parameterNode.doubt.SetText(json.dumps(list(reasons)) if reasons else "")
