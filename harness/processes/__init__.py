"""Where handlers live while they are tested: a worker process under a supervisor.

A handler may end its process, loop for ever, or never return from its import; none of that may end the run. So:

- the **supervisor** (the command line's process) never imports the target; it starts the worker and outlives it;
- the **worker** imports the target and then stays pristine: it never plays a case, it only forks;
- each **task** (search, shrink, confirm) runs in a child forked from the worker, in an empty scratch folder, and
  streams JSON lines back; its last `mark` says which case was in flight when it died or hung;
- a task may itself fork for a single call that needs fresh state.

Every child leads a process group of its own, which is killed when the child ends. What left its group is adopted by the
worker and killed too, and when the supervisor dies, however it dies, the others follow.
"""
