"""What the panel and the Python console share: parameter node, workflow and logic of IntradiscalNav. Knows nodes, no Qt."""
