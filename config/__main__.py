"""`python -m config [SECTION]`: every key, its default and its meaning."""

from config.reference import keys_table

if __name__ == "__main__":
    print(keys_table())
