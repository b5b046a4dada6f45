"""`make monitoring`: write what is made from the rule file and the dashboard."""

from tests.monitoring.wrapping import files

if __name__ == "__main__":
    for path, text in files().items():
        path.write_text(text)
