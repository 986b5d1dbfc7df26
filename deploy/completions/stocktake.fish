# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stocktake_global_optspecs
    string join \n config= format= h/help V/version
end

function __fish_stocktake_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stocktake_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stocktake_using_subcommand
    set -l cmd (__fish_stocktake_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stocktake -n "__fish_stocktake_needs_command" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_needs_command" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_needs_command" -s V -l version -d 'Print version'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "serve" -d 'Run the daemon until SIGTERM or SIGINT'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "reconcile" -d 'List buckets now, and repair what the catalog has wrong'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "recheck" -d 'Ask S3 about these keys now, and repair what the catalog has wrong'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "connect" -d 'Plan what it takes to connect a bucket, or do it: queue, policies and notifications'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "disconnect" -d 'Plan how to undo what `connect` did, or do it'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "doctor" -d 'Check everything that can be wrong with set-up, and change nothing'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "replay" -d 'Put what is in quarantine through again, after an upgrade'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "policy" -d 'Print the policies that a bucket takes: the least that must be allowed, and to whom'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "decode" -d 'Say what a message\'s body means, without touching anything'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "status" -d 'Show what is connected, how fresh it is, and how much drift there was'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "health" -d 'Ask the daemon of this machine whether its loops turn: 0 if so, for service managers and containers'
complete -c stocktake -n "__fish_stocktake_needs_command" -f -a "migrate" -d 'Bring the database\'s schema up to date'
complete -c stocktake -n "__fish_stocktake_using_subcommand serve" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand serve" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand serve" -l no-migrate -d 'Leave the schema as it is: somebody else runs `migrate` first'
complete -c stocktake -n "__fish_stocktake_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l source -d 'What to compare the catalog with [default: what the bucket\'s section says]' -r -f -a "listing\t'A full listing'
inventory\t'The newest inventory report that is complete and was not read yet; the bucket has to be listed once before'"
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l bucket -d 'Only this bucket [default: all that are configured]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l prefix -d 'Only the configured part of the bucket, or what is below this prefix of it' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l dry-run -d 'Print what would be repaired, and change nothing'
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -l allow-removals -d 'Remove whatever the listing does not show, however much it is: lifts `reconcile.max_removals` once'
complete -c stocktake -n "__fish_stocktake_using_subcommand reconcile" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand recheck" -l bucket -d 'The bucket the keys are in' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand recheck" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand recheck" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand recheck" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l bucket -d 'The bucket' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l prefix -d 'What keys begin with, ends in / [default: what is configured, else the whole bucket]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l region -d 'The region, by code or by a project\'s name, of a bucket that is not configured yet' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l queue -d 'The queue, by URL or name [default: the one that is configured, else `stocktake`]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l account -d 'The account that owns the bucket, if it is not ours' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l print -d 'Print the plan in another language, and do nothing' -r -f -a "terraform\t'Resources of Terraform'"
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l apply -d 'Do what is planned'
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -l skip-validation -d 'Let S3 not try whether it can send: others\' destinations in the bucket may be gone'
complete -c stocktake -n "__fish_stocktake_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l bucket -d 'The bucket' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l prefix -d 'What keys begin with, ends in / [default: what is configured, else the whole bucket]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l region -d 'The region, by code or by a project\'s name, of a bucket that is not configured yet' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l queue -d 'The queue, by URL or name [default: the one that is configured, else `stocktake`]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l account -d 'The account that owns the bucket, if it is not ours' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l apply -d 'Do what is planned'
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l skip-validation -d 'Let S3 not try whether it can send: others\' destinations in the bucket may be gone'
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -l drop-rows -d 'Drop the rows of the catalog, too: they are not needed for a new start, and take long to make again'
complete -c stocktake -n "__fish_stocktake_using_subcommand disconnect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -l bucket -d 'Only this bucket [default: all that are configured]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -l probe -d 'Wait for the event of a change that you make below the prefix, for up to five minutes'
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -l probe-write -d 'The same, and make the change: write an object below the prefix, and remove it again'
complete -c stocktake -n "__fish_stocktake_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand replay" -l id -d 'Only what has these numbers in `catalog.quarantine` [default: all that was not put through yet]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand replay" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand replay" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l bucket -d 'The bucket, as it is configured' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l principal -d 'The user or role that the daemon is before it takes on any other [default: any of the queue\'s account]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l account -d 'The account that owns the bucket [default: that of its role, else that of the queue]' -r
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l only -d 'Only policies of this kind, and nothing but them' -r -f -a "permissions\t'Permissions of a role, or of whoever the daemon is without one'
trust\t'Who may take on a role'
bucket\t'The bucket\'s own policy'
queue\t'A queue\'s own policy'
key\t'Statements to be added to a key\'s own policy'"
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand policy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand decode" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand decode" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand decode" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand status" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand status" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand status" -l watch -d 'Look again every two seconds, until Ctrl-C'
complete -c stocktake -n "__fish_stocktake_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand health" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand health" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand health" -l ready -d 'Ask whether it can do its work: database and queues'
complete -c stocktake -n "__fish_stocktake_using_subcommand health" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stocktake -n "__fish_stocktake_using_subcommand migrate" -l config -d 'Read the configuration from this file [default: $STOCKTAKE_CONFIG, else config/default.toml]' -r -F
complete -c stocktake -n "__fish_stocktake_using_subcommand migrate" -l format -d 'How results are printed' -r -f -a "text\t'Tables and sentences, for people'
json\t'JSON, for programs'"
complete -c stocktake -n "__fish_stocktake_using_subcommand migrate" -s h -l help -d 'Print help (see more with \'--help\')'
