"""The files of a run and how they are written: the folder, its history, whole files, progress on the terminal."""
