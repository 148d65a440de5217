"""Who the customers are: what is known of one, what follows from what they did, and how one is forgotten."""

from recsys.customers.fact_table import FACTS_SCHEMA, CustomerFacts, Unit, customer_facts, facts, facts_of
from recsys.customers.rules import DEFAULT_RULES, CustomerRules, read_rules, rules_in
from recsys.customers.segments import Segment

__all__ = [
    "DEFAULT_RULES",
    "FACTS_SCHEMA",
    "CustomerFacts",
    "CustomerRules",
    "Segment",
    "Unit",
    "customer_facts",
    "facts",
    "facts_of",
    "read_rules",
    "rules_in",
]
