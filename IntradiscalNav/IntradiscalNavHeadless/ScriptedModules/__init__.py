"""Stand-ins that let Slicer's scripted module files load on the headless host, written from scratch.

`slicer-core` ships neither `slicer.ScriptedLoadableModule`, `slicer.i18n` nor `slicer.parameterNodeWrapper`. The stand-ins
here offer the part of their public behaviour that the three modules of this extension use, and write the same strings into
the parameter node as Slicer does. What they don't support raises, so that nothing passes here by luck.
"""
