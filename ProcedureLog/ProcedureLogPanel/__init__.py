"""What the panel and the Python console share: parameter node and logic of ProcedureLog. Knows the scene, no Qt."""
