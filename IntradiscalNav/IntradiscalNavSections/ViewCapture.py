"""Pictures of the views that Slicer's layout shows."""

import slicer
from slicer.i18n import tr as _


def captureViews():
    """All views of the navigation layout as one picture (rows, columns, 3), top row first.

    :raises RuntimeError: if the layout doesn't show them
    """
    from IntradiscalNavLib.Views.ViewMosaic import viewMosaic, windowPicture

    manager = slicer.app.layoutManager()
    if manager is None:
        raise RuntimeError(_("There is no window with views to take pictures of."))

    def picture(view):
        window = _renderWindow(manager, view)
        window.Render()
        return windowPicture(window)

    return viewMosaic(picture)


def _renderWindow(manager, view):
    from IntradiscalNavLib.Views.NavigationLayout import THREE_D

    if view is not THREE_D and manager.sliceWidget(view.tag) is not None:
        return manager.sliceWidget(view.tag).sliceView().renderWindow()
    for index in range(manager.threeDViewCount if view is THREE_D else 0):
        shown = manager.threeDWidget(index).threeDView()
        if shown.mrmlViewNode().GetLayoutName() == view.tag:
            return shown.renderWindow()
    raise RuntimeError(_("The layout doesn't show the view {name}.").format(name=view.label))
