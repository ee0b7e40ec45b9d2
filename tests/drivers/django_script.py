"""Django's ORM against the URL in the first argument: migrations, transactions, server-side cursors, introspection."""

import io
import sys
from urllib.parse import urlsplit

import django
from django.conf import settings

from transcript import attempt, out

url = urlsplit(sys.argv[1])
settings.configure(
    DATABASES={"default": {
        "ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username, "PASSWORD": url.password,
        "HOST": url.hostname, "PORT": url.port, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True,
        # Parameters apart from the text, or written into it as is Django's default.
        "OPTIONS": {"server_side_binding": sys.argv[2] == "server"},
    }},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres"],
    USE_TZ=True, TIME_ZONE="Europe/Berlin", DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
)
django.setup()

from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import close_old_connections, connection, models, transaction
from django.db.models import Count, F, Q, Value
from django.db.models.functions import Concat
from django.utils import timezone

with connection.cursor() as cursor:
    for turn in range(6):
        cursor.execute("SELECT * FROM warm.kept WHERE id = %s", [1])
        out("kept", cursor.fetchall())
    cursor.execute("SET client_min_messages = warning")
    cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    cursor.execute("RESET client_min_messages")
said = io.StringIO()
call_command("migrate", verbosity=1, stdout=said)
out(said.getvalue())
attempt("migrated", lambda: Permission.objects.count())
attempt("sequences", lambda: [str(s) for s in connection.introspection.get_sequences(connection.cursor(), "auth_user")])


class Note(models.Model):
    user = models.ForeignKey(User, models.CASCADE)
    text = models.TextField()
    when = models.DateTimeField()
    more = models.JSONField(default=dict)

    class Meta:
        app_label = "notes"


with connection.schema_editor() as editor:
    editor.create_model(Note)
when = timezone.datetime(2024, 2, 29, 12, tzinfo=timezone.get_default_timezone())
group = Group.objects.create(name="all")
users = User.objects.bulk_create(User(username=f"user {n}", email=f"{n}@x", date_joined=when) for n in range(120))
group.user_set.add(*users)
Note.objects.bulk_create([Note(user=users[n % 30], text=f"note {n}", when=when, more={"n": n}) for n in range(300)])

for turn in range(3):
    attempt("get", lambda: User.objects.get(username="user 7").email)
    attempt("related", lambda: [(n.text, n.user.username, n.when.isoformat()) for n in
                                Note.objects.select_related("user").order_by("id")[:3]])
    attempt("prefetched", lambda: [(g.name, len(g.user_set.all())) for g in Group.objects.prefetch_related("user_set")])
    attempt("counted", lambda: list(User.objects.annotate(n=Count("groups")).filter(n__gt=0).order_by("id").values_list("username", "n")[:4]))
    attempt("json", lambda: Note.objects.filter(more__n__gte=290).count())
    attempt("by day", lambda: list(Note.objects.dates("when", "day")))
    attempt("exists", lambda: User.objects.filter(Q(username="nobody") | Q(email="3@x")).exists())
    attempt("missing", lambda: User.objects.get(username="nobody"))
for turn in range(10):
    User.objects.filter(username="user 8").update(first_name=f"turn {turn}")
    attempt("written", lambda: User.objects.get(username="user 8").first_name)
attempt("created", lambda: User.objects.get_or_create(username="user 7", defaults={"email": "new"})[1])
attempt("expression", lambda: User.objects.filter(pk__lte=5).update(email=Concat(F("email"), Value("!"))))


def atomic():
    with transaction.atomic():
        User.objects.create_user("inside", password="x")
        try:
            with transaction.atomic():
                User.objects.create_user("user 1")
        except django.db.IntegrityError as e:
            out("savepoint", type(e.__cause__).__name__)
        seen = User.objects.filter(username="inside").count()
        transaction.on_commit(lambda: out("committed"))
        transaction.set_rollback(False)
    return seen, User.objects.filter(username="inside").count()


def rolled_back():
    try:
        with transaction.atomic():
            User.objects.all().delete()
            out("gone", User.objects.count(), Note.objects.count())
            raise KeyError
    except KeyError:
        return User.objects.count(), Note.objects.count()


def broken():
    with transaction.atomic():
        attempt("breaks", lambda: User.objects.create(username="user 1"))
        attempt("refused", lambda: User.objects.count())


attempt("atomic", atomic)
attempt("rolled back", rolled_back)
attempt("broken", broken)
attempt("after", lambda: User.objects.count())
attempt("iterator", lambda: sum(1 for _ in Note.objects.order_by("id").iterator(chunk_size=17)))
with transaction.atomic():
    attempt("iterator inside", lambda: sum(1 for _ in Note.objects.order_by("id").iterator(chunk_size=17)))
    attempt("locked", lambda: User.objects.select_for_update().get(username="user 9").email)


def interleaved():
    walk = Note.objects.order_by("id").iterator(chunk_size=10)
    seen = [next(walk).text]
    for n in range(30):
        User.objects.filter(username="user 9").update(first_name=str(n))
        assert User.objects.get(username="user 9").first_name == str(n)
        seen.append(next(walk).text)
    return seen[-1], sum(1 for _ in walk)


attempt("written while a cursor is open", interleaved)


close_old_connections()
attempt("healthy", lambda: User.objects.get(username="user 9").first_name)
with timezone.override("Asia/Tokyo"):
    attempt("zone", lambda: list(Note.objects.datetimes("when", "hour")))
attempt("explained", lambda: User.objects.filter(pk=1).only("pk").explain(costs=False))
attempt("raw", lambda: [u.username for u in User.objects.raw("SELECT * FROM auth_user WHERE id < %s ORDER BY id", [4])])
with connection.cursor() as cursor:
    attempt("constraints", lambda: sorted(connection.introspection.get_constraints(cursor, "auth_user_groups").items()))
found = io.StringIO()
call_command("inspectdb", stdout=found)
out(found.getvalue())
found = io.StringIO()
call_command("dumpdata", "auth.group", "auth.permission", format="json", stdout=found)
out(len(found.getvalue()))
with connection.schema_editor() as editor:
    field = models.IntegerField(default=3)
    field.set_attributes_from_name("extra")
    editor.add_field(Note, field)
attempt("altered", lambda: Note.objects.count())
with connection.cursor() as cursor:
    attempt("described", lambda: [tuple(c)[:1] for c in connection.introspection.get_table_description(cursor, "notes_note")])
with connection.schema_editor() as editor:
    editor.delete_model(Note)
call_command("flush", interactive=False, verbosity=0)
attempt("flushed", lambda: (User.objects.count(), Permission.objects.count(), ContentType.objects.count()))
