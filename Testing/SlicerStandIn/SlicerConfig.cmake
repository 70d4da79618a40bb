# Stand-in of Slicer's own SlicerConfig.cmake for configuring the extension without a build of Slicer.
# The macros record what they get in ${CMAKE_BINARY_DIR}/record.txt and install what Slicer would install;
# they stop at a file that doesn't exist, as Slicer's do. Used by Testing/Python/test_Packaging.py.
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicerStandIn.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/RecordExtension.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
set(Slicer_FOUND 1)
