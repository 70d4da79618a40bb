"""What a saved scene carries beside its nodes, so that it can be reviewed and replayed months later."""


def storeProcedure(scene, fit=None, trajectory=None, connection=None):
    """Write registration with its quality, plan and calibrations into the scene's documents; what is unknown is left as it was.

    :raises ValueError: if one of them can't be stored
    """
    from IntradiscalNavLib.Planning.PlanSerialization import trajectoryToDict
    from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument

    if fit is not None:
        storeDocument(scene, DocumentRole.REGISTRATION, fit.toDict())
    if trajectory is not None:
        storeDocument(scene, DocumentRole.PLAN, trajectoryToDict(trajectory))
    if connection is not None:
        tree = connection.stream.tree
        fixed = {name: tree.matrix(name) for name in tree.fixedNames}
        calibrations = {name: matrix.tolist() for name, matrix in fixed.items() if matrix is not None and not name.endswith("ToRas")}
        if calibrations:
            storeDocument(scene, DocumentRole.CALIBRATION, calibrations)
