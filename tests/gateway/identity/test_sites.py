"""Sites and sectors: made once, found by those who may see them, and by nobody else."""

import pytest
from writer.identity.v1 import sites_pb2

from chassis.errors import Refusal
from chassis.ids import new_id

pytestmark = pytest.mark.usefixtures("cheap_passwords")


async def test_a_new_site_has_a_default_sector(world):
    owner = await world.owner()
    site = await world.make_site(owner.header, " Shop ", url="https://shop.example")
    assert (site.name, site.url) == ("Shop", "https://shop.example")
    sector = await world.call(
        "GetSector", sites_pb2.GetSectorRequest(id=site.default_sector_id), owner.header
    )
    assert (sector.site_id, sector.name) == (site.id, "General")


async def test_a_name_is_used_once_in_an_account_and_the_holder_is_named(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    site = await world.make_site(owner.header, "Shop")
    with pytest.raises(Refusal) as caught:
        await world.make_site(owner.header, "Shop")
    assert (caught.value.reason, caught.value.metadata["id"]) == ("ALREADY_EXISTS", site.id)
    assert (await world.make_site(other.header, "Shop")).id != site.id


async def test_a_sector_name_is_used_once_in_a_site(world):
    owner = await world.owner()
    shop = await world.make_site(owner.header, "Shop")
    news = await world.make_sector(owner.header, owner.session.site_id, "News")
    with pytest.raises(Refusal) as caught:
        await world.make_sector(owner.header, owner.session.site_id, "News")
    assert (caught.value.reason, caught.value.metadata["id"]) == ("ALREADY_EXISTS", news.id)
    assert (await world.make_sector(owner.header, shop.id, "News")).id != news.id


async def test_a_repeat_answers_the_same_site_and_sector(world):
    owner = await world.owner()
    make_site = sites_pb2.CreateSiteRequest(site=sites_pb2.Site(name="Shop"), request_id="r1")
    sites = [await world.call("CreateSite", make_site, owner.header) for _ in range(2)]
    assert sites[0] == sites[1]
    make_sector = sites_pb2.CreateSectorRequest(
        sector=sites_pb2.Sector(name="News", site_id=sites[0].id), request_id="r1"
    )
    sectors = [await world.call("CreateSector", make_sector, owner.header) for _ in range(2)]
    assert sectors[0] == sectors[1]


async def test_sites_and_sectors_are_listed_in_order_and_by_page(world):
    owner = await world.owner()
    for name in ("B", "A", "C"):
        await world.make_site(owner.header, name)
    names, token = [], ""
    while True:
        request = sites_pb2.ListSitesRequest(order_by="name", page_size=3, page_token=token)
        page = await world.call("ListSites", request, owner.header)
        names += [site.name for site in page.sites]
        token = page.next_page_token
        if not token:
            break
    assert names == ["A", "B", "C", "My site"]
    assert page.total_size == 4
    newest = await world.call("ListSites", sites_pb2.ListSitesRequest(page_size=1), owner.header)
    assert newest.sites[0].name == "C"
    shop = newest.sites[0].id
    await world.make_sector(owner.header, shop, "News")
    request = sites_pb2.ListSectorsRequest(site_id=shop, order_by="-name")
    of_site = await world.call("ListSectors", request, owner.header)
    assert [sector.name for sector in of_site.sectors] == ["News", "General"]
    everywhere = await world.call("ListSectors", sites_pb2.ListSectorsRequest(), owner.header)
    assert everywhere.total_size == 5


async def test_another_accounts_ids_answer_as_unknown_ones(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    theirs = {"GetSite": other.session.site_id, "GetSector": other.session.sector_id}
    for method, their_id in theirs.items():
        told = []
        for asked in (their_id, new_id()):
            request = getattr(sites_pb2, f"{method}Request")(id=asked)
            refusal = await world.refused(method, request, owner.header)
            told.append((refusal.kind, refusal.reason, refusal.message.replace(asked, "ID")))
        assert told[0] == told[1]
        assert told[0][1] == "NOT_FOUND"


async def test_a_sector_cannot_be_put_into_another_accounts_site(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    told = []
    for site_id in (other.session.site_id, new_id()):
        with pytest.raises(Refusal) as caught:
            await world.make_sector(owner.header, site_id, "Theirs")
        told.append((caught.value.reason, caught.value.message, caught.value.violations))
    assert told[0] == told[1]
    assert [violation.field for violation in told[0][2]] == ["sector.site_id"]
    theirs = await world.call("ListSectors", sites_pb2.ListSectorsRequest(), other.header)
    assert [sector.name for sector in theirs.sectors] == ["General"]


async def test_lists_hold_what_is_the_accounts_own(world):
    accounts = [await world.owner(f"{name}@example.com") for name in ("ada", "bob")]
    for account in accounts:
        await world.make_site(account.header, "Shop")
        await world.make_key(account.header)
    seen = []
    for account in accounts:
        sites = await world.call("ListSites", sites_pb2.ListSitesRequest(), account.header)
        sectors = await world.call("ListSectors", sites_pb2.ListSectorsRequest(), account.header)
        assert {sector.site_id for sector in sectors.sectors} == {site.id for site in sites.sites}
        seen.append({row.id for row in (*sites.sites, *sectors.sectors)})
        assert len(seen[-1]) == 4
    assert not seen[0] & seen[1]
    request = sites_pb2.ListSectorsRequest(site_id=accounts[1].session.site_id)
    theirs = await world.call("ListSectors", request, accounts[0].header)
    assert (list(theirs.sectors), theirs.total_size) == ([], 0)


async def test_a_page_token_of_another_account_is_none(world):
    owner = await world.owner()
    other = await world.owner("bob@example.com")
    for name in ("A", "B", "C"):
        await world.make_site(other.header, name)
    page = await world.call("ListSites", sites_pb2.ListSitesRequest(page_size=1), other.header)
    request = sites_pb2.ListSitesRequest(page_size=1, page_token=page.next_page_token)
    refusal = await world.refused("ListSites", request, owner.header)
    assert refusal.reason == "PAGE_TOKEN_INVALID"


async def test_a_viewer_sees_the_granted_sites_only(world):
    owner = await world.owner()
    granted = await world.make_site(owner.header, "Granted")
    header = await world.add_user(owner.session.account.id, "viewer", granted.id)
    sites = await world.call("ListSites", sites_pb2.ListSitesRequest(), header)
    assert [site.id for site in sites.sites] == [granted.id]
    sectors = await world.call("ListSectors", sites_pb2.ListSectorsRequest(), header)
    assert [sector.id for sector in sectors.sectors] == [granted.default_sector_id]
    for method, request in (
        ("GetSite", sites_pb2.GetSiteRequest(id=owner.session.site_id)),
        ("GetSector", sites_pb2.GetSectorRequest(id=owner.session.sector_id)),
    ):
        assert (await world.refused(method, request, header)).reason == "NOT_FOUND"
    refusal = await world.refused(
        "CreateSite", sites_pb2.CreateSiteRequest(site=sites_pb2.Site(name="Mine")), header
    )
    assert refusal.reason == "ROLE_FORBIDDEN"


async def test_who_is_limited_to_some_sites_cannot_add_one(world):
    owner = await world.owner()
    limited = await world.make_key(owner.header, role=3, limited_site_id=owner.session.site_id)
    with pytest.raises(Refusal) as caught:
        await world.make_site(f"ApiKey {limited.key}", "Shop")
    assert caught.value.reason == "SITE_FORBIDDEN"


async def test_a_blank_name_is_refused_by_field(world):
    owner = await world.owner()
    with pytest.raises(Refusal) as caught:
        await world.make_site(owner.header, " ")
    assert [violation.field for violation in caught.value.violations] == ["site.name"]
