"""Exit codes of all commands.

| code | meaning |
|---|---|
| 0 | all was done |
| 1 | it failed: a full disk, a loss that is no longer a number, a fault of ours |
| 2 | the input cannot be used: nothing was started |
| 3 | it was done, and the model is ruined: kept under another name, see the message |
| 4 | a file is not as the run wrote or read it (`verify`, `push`) |
| 5 | it was done, and a requirement that was set beforehand is not met (`--require`) |
| 6 | it was done, and an earlier request came back (`unlearn --after`); the model is kept |
| 7 | `check` found what would spoil a run |
| 8 | commands of a `sweep` or of `reproduce` failed; all others are done |
| 9 | `verify --replay`: the run, repeated, wrote another model |
| 10 | `verify --public-key`: the manifest is not signed by that key |
| 75 | a signal stopped it and a checkpoint is written: give the same command with `--resume` (`EX_TEMPFAIL`) |
| 130 | Ctrl-C or another signal stopped it where there is nothing to resume; or Ctrl-C came twice |
"""

DONE = 0
FAILED = 1
BAD_INPUT = 2
RUINED_MODEL = 3
NOT_AS_WRITTEN = 4
REQUIREMENT_NOT_MET = 5
REQUEST_CAME_BACK = 6
CHECK_FAILED = 7
SWEEP_INCOMPLETE = 8
REPLAY_DIFFERS = 9
NOT_SIGNED = 10
STOPPED_RESUMABLE = 75
INTERRUPTED = 130
