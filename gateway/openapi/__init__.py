"""The reference: an OpenAPI 3.1 document made from the contracts (document), shown by a page;
serving answers with both.

Of each operation (operations; its names, its comments in REST's wording): inputs, responses,
codes; of messages: schemas, rules, examples. beside: what is served without a contract.
"""
