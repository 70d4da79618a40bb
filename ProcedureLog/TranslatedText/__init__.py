"""Translation for the packages that know no Slicer. It lies with Procedure Log, the module that stands on no other."""
