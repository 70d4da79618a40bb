"""Static checks of the repository; each takes the repository folder and returns findings, one line each."""
