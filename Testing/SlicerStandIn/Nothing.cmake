# Packing needs CPack settings of a real build.
