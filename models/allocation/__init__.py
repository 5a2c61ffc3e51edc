"""Budgets: an option for each item of a request, with the sum of the options' costs held below a total.

exact        the multiple-choice knapsack by dynamic programming
lagrangian   its dual, with a proven gap; and the greedy peer
levels       two levels as a composition: a budget for each region, then options within
allocator    a policy's posterior draws, each solved: exact joint and marginal propensities
learning     per-item and whole-request rewards, to the policy
"""
