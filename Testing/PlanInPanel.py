"""What the tests of planning in the panel look at: lines of the scene, cells of the table, the step of the workflow."""


def step(panel):
    return panel.logic.workflow(panel._parameterNode)[3]


def lines():
    import slicer

    return {node.GetName(): node for node in slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")}


def endsOf(node):
    import slicer

    return slicer.util.arrayFromMarkupsControlPoints(node, world=True)


def drag(node, offsets, index=0):
    """The events and moves of a drag with the mouse."""
    from slicer import vtkMRMLMarkupsNode

    start = endsOf(node)[index].copy()
    node.InvokeEvent(vtkMRMLMarkupsNode.PointStartInteractionEvent)
    for offset in offsets:
        node.SetNthControlPointPositionWorld(index, *(start + offset))
    node.InvokeEvent(vtkMRMLMarkupsNode.PointEndInteractionEvent)


def cells(panel):
    table = panel.ui.pathsTable
    return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]
