"""The hosted backends: a service does the model's work, for money.

In: a window, a prompt and a key. Out: what the service made of the mask; paid once, whatever
goes wrong.
"""
