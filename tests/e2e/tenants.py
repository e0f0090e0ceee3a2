"""Accounts with one of everything, and answers made comparable."""

from dataclasses import dataclass

from e2e.people import Account

IGNORED_HEADERS = {"date", "x-request-id", "x-trace-id", "x-throttle-remaining", "x-throttle-reset"}


@dataclass
class Tenant:
    """An account with everything that an account can have, and a word that only it uses."""

    account: Account
    word: str
    site: dict
    sector: dict
    key: dict
    cluster: dict
    tasks: list
    run: dict
    contents: list
    images: list
    terms: list

    @property
    def own_ids(self):
        """Every id that must not show up elsewhere."""
        things = [*self.tasks, *self.contents, *self.images, *self.terms]
        things += [self.site, self.sector, self.key, self.cluster, self.run]
        return {thing["id"] for thing in things} | {
            self.account.id,
            self.account.session["user"]["id"],
            *self.account.scope.values(),
        }

    @property
    def paths(self):
        """What can be read by id, with one of its ids."""
        return {
            "writer/tasks/{}": self.tasks[0]["id"],
            "writer/runs/{}": self.run["id"],
            "writer/content/{}": self.contents[0]["id"],
            "writer/images/{}": self.images[0]["id"],
            "writer/clusters/{}": self.cluster["id"],
            "writer/taxonomies/{}": self.terms[0]["id"],
            "auth/sites/{}": self.site["id"],
            "auth/sectors/{}": self.sector["id"],
            "auth/users/{}": self.account.session["user"]["id"],
        }


async def at_work(writer, word):
    """Registers, makes one of everything and writes two articles with pictures."""
    account = await writer.register(
        account_name=f"{word} Ltd", name=word, site_name=f"{word} site", sector_name=f"{word} main"
    )
    site = await account.create("auth/sites", {"name": f"{word} two"})
    sector = await account.create("auth/sectors", {"site_id": site["id"], "name": f"{word} more"})
    key = await account.create("auth/api_keys", {"name": f"{word} key", "role": "editor"})
    cluster = await account.add_cluster(f"{word} cluster")
    tasks = [
        await account.add_task(f"Why {word} matters {n}", keywords=f"{word}, care") for n in "ab"
    ]
    run = await account.generate(*(task["id"] for task in tasks), stop_after="images")
    run = await account.ended(run)
    assert run["state"] == "succeeded"
    await account.settled()
    return Tenant(
        account=account,
        word=word,
        site=site,
        sector=sector,
        key=key,
        cluster=cluster,
        tasks=tasks,
        run=run,
        contents=await account.list("writer/content"),
        images=await account.list("writer/images"),
        terms=await account.list("writer/taxonomies"),
    )


def masked(answer, *known):
    """An answer without what may differ between two that say the same."""
    text = answer.text
    for each in (*known, answer.headers["x-request-id"]):
        text = text.replace(each, "…")
    headers = {k: v for k, v in answer.headers.items() if k not in IGNORED_HEADERS}
    return answer.status_code, headers, text
