"""drive: something happens; tally: did everybody hear of it?"""
