"""An emulator that enforces policies, and whoever they are for. Ends when its input does.

Says where it is, in a line of JSON. Then reads one: the bucket to make; and another: the policies that
`stocktake policy --format json` prints, as a list. It makes a user and a role that may do just that, and says which keys
the user has. Each further line is a key to be written.
"""

import json
import sys
import tempfile
from pathlib import Path

import bed
import servers

USER = "daemon"
# What AWS counts as the same permission, and the emulator does not
# (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html).
BATCHES = {"sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}


def main():
    with tempfile.TemporaryDirectory() as folder, servers.emulator(Path(folder), auth=True) as endpoint:
        say(endpoint=endpoint)
        s3, bucket = bed.client("s3", endpoint), heard()
        bed.make_bucket(s3, bucket, "Enabled")
        say(done=True)
        say(**make(bed.client("iam", endpoint), heard()))
        for line in sys.stdin:
            s3.put_object(Bucket=bucket, Key=json.loads(line), Body=b"body")
            say(done=True)


def make(iam, policies):
    iam.create_user(UserName=USER)
    trusts = {name(each["of"]): each["policy"] for each in policies if each["kind"] == "trust"}
    for role, trust in trusts.items():
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(trust))
    for each in policies:
        if each["kind"] != "permissions":
            continue
        for statement in each["policy"]["Statement"]:
            statement["Action"] += [f"{action}Batch" for action in statement["Action"] if action in BATCHES]
        document = {"PolicyName": "stocktake", "PolicyDocument": json.dumps(each["policy"])}
        if name(each["of"]) in trusts:
            iam.put_role_policy(RoleName=name(each["of"]), **document)
        else:
            iam.put_user_policy(UserName=USER, **document)
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    return {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}


def name(arn):
    return arn.rpartition("/")[2]


def heard():
    return json.loads(sys.stdin.readline())


def say(**what):
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
