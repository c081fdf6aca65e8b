"""What the processes of a row leave in its folder for the checker."""

#: Of the witness: one line per POST; the secrets it verifies with.
RECEIVED, SECRETS = "received.jsonl", "secrets.json"
#: Of web processes: saves that committed, saves that the database refused.
COMMITTED, REFUSED = "committed.jsonl", "refused.jsonl"
#: Of the workers: result hooks that ran.
TOLD = "told.jsonl"
#: Names the folder to processes that are not told it on their command line.
FOLDER = "DOH_FAULTS_FOLDER"
SEED = "DOH_FAULTS_SEED"
