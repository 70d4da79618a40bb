"""What the panels of the three modules share. It lies with Procedure Log, the module that stands on no other."""
