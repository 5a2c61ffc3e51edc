"""One host of a fleet in a process of its own, that can be killed: asked by lines of JSON, answering by lines."""

import json
import sys

from croupier import Embedded


def main():
    with Embedded("shop", var=sys.argv[1]) as shop:
        print(json.dumps("ready"), flush=True)
        for line in sys.stdin:
            what, asked = json.loads(line)
            if what == "select":
                chosen = shop.select(**asked)
                print(json.dumps([chosen.event_id, chosen.arm, chosen.propensity]), flush=True)
            elif what == "decide":
                chosen = shop.select(**asked)
                print(json.dumps([chosen.event_id, chosen.arm, chosen.propensity, chosen.role]), flush=True)
            else:
                print(json.dumps(shop.reward(**asked).status), flush=True)


if __name__ == "__main__":
    main()
