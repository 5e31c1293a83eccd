"""The command `pinnx sensors`: where to measure, how good that is, and a picture of it.

command   options, files                     -> job, table, picture
inputs    options, file -> fields; memory: what of a file it holds
weights   options, file -> a weight for each place
job       fields -> sensors and figures
table     the figures on the terminal
"""

# Nothing is imported here, so that help works where a package is missing.
