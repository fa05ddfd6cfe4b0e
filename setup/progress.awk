# Shows how far a build is: a line for each fifth of its `[step/steps]`, and its last words where it
# fails. The build's last line has to be `exit STATUS`.
{ words[NR % 40] = $0 }
match($0, /\[[0-9]+\/[0-9]+\]/) {
    split(substr($0, RSTART + 1, RLENGTH - 2), step, "/")
    part = int(5 * step[1] / step[2])
    if (part > told) { told = part; printf "── %s: %d%%\n", name, 20 * part; fflush() }
}
/^exit [0-9]+$/ { status = $2 }
END {
    if (status == 0 && NR) exit 0
    for (i = NR - 39; i <= NR; i++) if (i > 0) print words[i % 40]
    exit 1
}
