// pgjdbc's whole surface as applications use it, in one transcript: nothing is printed that differs between two runs on one server.
// Arguments: the URL, then properties as name=value.

import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.net.URI;
import java.sql.*;
import java.util.Arrays;
import java.util.Properties;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyIn;
import org.postgresql.copy.CopyManager;
import org.postgresql.largeobject.LargeObject;
import org.postgresql.largeobject.LargeObjectManager;

public class Jdbc {
    interface Action {
        void run() throws Exception;
    }

    static Connection connection;
    static Statement statement;

    static void attempt(String label, Action action) {
        try {
            action.run();
            System.out.println(label + " ok");
        } catch (BatchUpdateException error) {
            System.out.println(label + " !! " + error.getSQLState() + " " + Arrays.toString(error.getUpdateCounts()));
        } catch (SQLException error) {
            System.out.println(label + " !! " + error.getSQLState() + " " + error.getMessage());
        } catch (Exception error) {
            System.out.println(label + " !! " + error);
        }
    }

    static String shown(Object value) throws SQLException {
        if (value instanceof byte[]) return Arrays.toString((byte[]) value);
        if (value instanceof java.sql.Array) return Arrays.deepToString((Object[]) ((java.sql.Array) value).getArray());
        return String.valueOf(value);
    }

    static void show(ResultSet rows) throws SQLException {
        ResultSetMetaData columns = rows.getMetaData();
        int width = columns.getColumnCount();
        for (int i = 1; i <= width; i++) System.out.print("  " + columns.getColumnName(i) + ":" + columns.getColumnTypeName(i));
        System.out.println();
        while (rows.next()) {
            for (int i = 1; i <= width; i++) System.out.print("  " + shown(rows.getObject(i)));
            System.out.println();
        }
        rows.close();
    }

    static void show(String sql) throws SQLException {
        show(statement.executeQuery(sql));
    }

    static void inTransaction(Action action) throws Exception {
        connection.setAutoCommit(false);
        try {
            action.run();
            connection.commit();
        } finally {
            connection.rollback();
            connection.setAutoCommit(true);
        }
    }

    public static void main(String[] arguments) throws Exception {
        URI url = URI.create(arguments[0]);
        Properties properties = new Properties();
        String[] login = url.getUserInfo().split(":");
        properties.setProperty("user", login[0]);
        properties.setProperty("password", login[1]);
        for (String argument : Arrays.copyOfRange(arguments, 1, arguments.length)) {
            String[] pair = argument.split("=", 2);
            properties.setProperty(pair[0], pair[1]);
        }
        connection = DriverManager.getConnection("jdbc:postgresql://" + url.getHost() + ":" + url.getPort() + url.getPath(), properties);
        statement = connection.createStatement();
        for (int turn = 0; turn < 6; turn++) attempt("kept", () -> show("SELECT * FROM warm.kept WHERE id = 1"));
        rows();
        transactions();
        session();
        rest();
        connection.close();
        attempt("closed", () -> show("SELECT 1"));
    }

    /** Statements that the driver prepares once they were run often enough, with every type, batches and generated keys. */
    static void rows() {
        attempt("setup", () -> statement.execute(
            "DROP TABLE IF EXISTS jd, jd2 CASCADE; DROP TYPE IF EXISTS jmood CASCADE; CREATE TYPE jmood AS ENUM ('a', 'b');"
            + "CREATE TABLE jd(id serial PRIMARY KEY, n int, t text, u uuid, j jsonb, ts timestamptz, d date, num numeric(10,2),"
            + " b bytea, iv interval, m jmood, arr int[]);"
            + "CREATE TABLE jd2(id bigserial PRIMARY KEY, jd int REFERENCES jd ON DELETE CASCADE)"));
        attempt("insert", () -> {
            PreparedStatement insert = connection.prepareStatement(
                "INSERT INTO jd(n, t, u, j, ts, d, num, b, iv, m, arr)"
                + " VALUES (?, ?, ?::uuid, ?::jsonb, ?, ?, ?, ?, ?::interval, ?::jmood, ?)", Statement.RETURN_GENERATED_KEYS);
            for (int i = 0; i < 12; i++) {
                insert.setInt(1, i);
                insert.setString(2, "t" + i);
                insert.setString(3, "00000000-0000-0000-0000-0000000000" + (10 + i));
                insert.setString(4, "{\"a\": " + i + "}");
                insert.setTimestamp(5, Timestamp.valueOf("2024-01-0" + (i % 9 + 1) + " 10:00:00"));
                insert.setDate(6, Date.valueOf("2024-02-0" + (i % 9 + 1)));
                insert.setBigDecimal(7, new BigDecimal("12." + (10 + i)));
                insert.setBytes(8, new byte[] {1, 0, (byte) i});
                insert.setString(9, i + " hours");
                insert.setString(10, i % 2 == 0 ? "a" : "b");
                insert.setArray(11, connection.createArrayOf("int4", new Integer[] {i, null}));
                insert.executeUpdate();
                show(insert.getGeneratedKeys());
            }
        });
        attempt("prepared", () -> {
            PreparedStatement read = connection.prepareStatement("SELECT * FROM jd WHERE n = ? ORDER BY id");
            for (int i = 0; i < 10; i++) {
                read.setInt(1, i % 3);
                show(read.executeQuery());
            }
            read.setString(1, "x");
            attempt("another type", () -> show(read.executeQuery()));
        });
        attempt("altered beneath", () -> {
            PreparedStatement read = connection.prepareStatement("SELECT * FROM jd2");
            for (int i = 0; i < 8; i++) show(read.executeQuery());
            statement.execute("ALTER TABLE jd2 ADD x int DEFAULT 5");
            for (int i = 0; i < 3; i++) attempt("after", () -> show(read.executeQuery()));
        });
        attempt("batch", () -> {
            PreparedStatement insert = connection.prepareStatement("INSERT INTO jd2(jd, x) VALUES (?, ?)");
            for (int[] rows : new int[][] {{1, 2, 3, 4, 5, 6, 7}, {1, 999, 2}}) {
                for (int row : rows) {
                    insert.setInt(1, row);
                    insert.setInt(2, row);
                    insert.addBatch();
                }
                attempt("run", () -> System.out.println(Arrays.toString(insert.executeBatch())));
                show("SELECT count(*) FROM jd2");
            }
        });
        attempt("texts in a batch", () -> {
            statement.addBatch("INSERT INTO jd2(jd) VALUES (1)");
            statement.addBatch("UPDATE jd2 SET x = 9 WHERE jd = 1");
            statement.addBatch("DELETE FROM jd2 WHERE jd = 2");
            System.out.println(Arrays.toString(statement.executeBatch()));
            show("SELECT jd, x FROM jd2 ORDER BY id");
        });
        attempt("returning", () -> {
            PreparedStatement update = connection.prepareStatement("UPDATE jd SET n = n + 1 WHERE id < ?", new String[] {"id", "n"});
            update.setInt(1, 4);
            System.out.println(update.executeUpdate());
            show(update.getGeneratedKeys());
        });
        attempt("described", () -> {
            PreparedStatement read = connection.prepareStatement("SELECT id, num, m, arr FROM jd WHERE u = ? AND ts > ?");
            ResultSetMetaData columns = read.getMetaData();
            for (int i = 1; i <= columns.getColumnCount(); i++)
                System.out.println(columns.getColumnTypeName(i) + " " + columns.getPrecision(i) + " " + columns.isNullable(i));
            ParameterMetaData parameters = read.getParameterMetaData();
            System.out.println(parameters.getParameterTypeName(1) + " " + parameters.getParameterTypeName(2));
        });
    }

    /** Cursors, savepoints, errors, READ ONLY, isolation levels. */
    static void transactions() {
        attempt("cursor", () -> inTransaction(() -> {
            PreparedStatement read = connection.prepareStatement("SELECT id, t FROM jd ORDER BY id");
            read.setFetchSize(5);
            ResultSet all = read.executeQuery();
            Statement other = connection.createStatement();
            for (int n = 1; all.next(); n++) {
                if (n == 6) {
                    show(other.executeQuery("SELECT count(*) FROM jd"));
                    other.executeUpdate("UPDATE jd SET t = t || '!' WHERE id = 1");
                }
                System.out.println(all.getInt(1) + all.getString(2));
            }
            connection.rollback();
            show("SELECT t FROM jd WHERE id = 1");
        }));
        attempt("savepoint", () -> inTransaction(() -> {
            statement.executeUpdate("UPDATE jd SET n = 100 WHERE id = 1");
            Savepoint savepoint = connection.setSavepoint("a b");
            attempt("fails", () -> statement.executeUpdate("UPDATE nope SET n = 1"));
            connection.rollback(savepoint);
            show("SELECT n FROM jd WHERE id = 1");
            connection.releaseSavepoint(savepoint);
        }));
        attempt("kept", () -> show("SELECT n FROM jd WHERE id = 1"));
        attempt("failed", () -> inTransaction(() -> {
            attempt("fails", () -> show("SELECT 1/0"));
            attempt("ignored", () -> show("SELECT n FROM jd WHERE id = 1"));
            connection.rollback();
            attempt("goes on", () -> show("SELECT n FROM jd WHERE id = 1"));
        }));
        attempt("read only", () -> {
            connection.setReadOnly(true);
            attempt("begun", () -> inTransaction(() -> {
                attempt("reads", () -> show("SELECT n FROM jd WHERE id = 2"));
                attempt("writes", () -> statement.executeUpdate("UPDATE jd SET n = 1"));
            }));
            attempt("reads alone", () -> show("SELECT n FROM jd WHERE id = 2"));
            attempt("writes alone", () -> statement.executeUpdate("UPDATE jd SET n = n"));
            connection.setReadOnly(false);
            attempt("writes again", () -> statement.executeUpdate("UPDATE jd SET n = n"));
        });
        attempt("isolation", () -> {
            for (int level : new int[] {Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ,
                    Connection.TRANSACTION_READ_COMMITTED}) {
                connection.setTransactionIsolation(level);
                inTransaction(() -> {
                    show("SHOW transaction_isolation");
                    show("SELECT n FROM jd WHERE id = 3");
                    System.out.println(connection.getTransactionIsolation() == level);
                });
            }
        });
        attempt("several in one text", () -> {
            boolean isRows = statement.execute("SELECT 1 AS a; UPDATE jd SET n = n; SELECT n FROM jd WHERE id = 2");
            while (isRows || statement.getUpdateCount() >= 0) {
                if (isRows) show(statement.getResultSet());
                else System.out.println(statement.getUpdateCount());
                isRows = statement.getMoreResults();
            }
        });
    }

    /** What a session has: path, time zone, temporary tables, notifications, cancelling. */
    static void session() {
        attempt("schema", () -> {
            statement.execute("DROP SCHEMA IF EXISTS js CASCADE; CREATE SCHEMA js; CREATE TABLE js.jd AS SELECT 7 AS id");
            PreparedStatement read = connection.prepareStatement("SELECT id FROM jd ORDER BY id LIMIT 2");
            for (int i = 0; i < 7; i++) show(read.executeQuery());
            for (String schema : new String[] {"js", "public"}) {
                connection.setSchema(schema);
                System.out.println(connection.getSchema());
                attempt("read", () -> show(read.executeQuery()));
            }
        });
        attempt("time zones", () -> {
            PreparedStatement read = connection.prepareStatement("SELECT ts::text FROM jd WHERE id = ?");
            read.setInt(1, 2);
            for (String zone : new String[] {"UTC", "Asia/Tokyo", "UTC"}) {
                statement.execute("SET TIME ZONE '" + zone + "'");
                for (int i = 0; i < 4; i++) show(read.executeQuery());
            }
        });
        attempt("temporary", () -> {
            statement.execute("CREATE TEMP TABLE jtmp AS SELECT 1 AS a");
            PreparedStatement read = connection.prepareStatement("SELECT a FROM jtmp");
            for (int i = 0; i < 7; i++) show(read.executeQuery());
            statement.execute("DROP TABLE jtmp");
            attempt("gone", () -> show(read.executeQuery()));
        });
        attempt("notified", () -> {
            statement.execute("LISTEN jch");
            statement.execute("NOTIFY jch, 'self'");
            PGConnection own = (PGConnection) connection;
            for (org.postgresql.PGNotification told : own.getNotifications(5000))
                System.out.println(told.getName() + " " + told.getParameter() + " " + (told.getPID() == own.getBackendPID()));
            statement.execute("UNLISTEN *");
        });
        attempt("warned", () -> {
            statement.execute("DO $$BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w'; END$$");
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning())
                System.out.println(warning.getSQLState() + " " + warning.getMessage());
        });
        attempt("takes too long", () -> {
            Statement slow = connection.createStatement();
            slow.setQueryTimeout(1);
            slow.executeQuery("SELECT pg_sleep(60)");
        });
        attempt("alive", () -> System.out.println(connection.isValid(5)));
    }

    /** COPY, large objects, functions, results that can be written to, and what tools ask about the schema. */
    static void rest() {
        attempt("copy", () -> {
            CopyManager copy = ((PGConnection) connection).getCopyAPI();
            System.out.println(copy.copyIn("COPY jd2(jd, x) FROM STDIN", new StringReader("3\t1\n4\t2\n")));
            StringWriter copied = new StringWriter();
            System.out.println(copy.copyOut("COPY (SELECT jd, x FROM jd2 ORDER BY id) TO STDOUT", copied) + "\n" + copied);
            attempt("wrong", () -> copy.copyIn("COPY jd2(jd, x) FROM STDIN", new StringReader("3\tx\n")));
            CopyIn into = copy.copyIn("COPY jd2(jd, x) FROM STDIN");
            into.writeToCopy("5\t5\n".getBytes(), 0, 4);
            into.cancelCopy();
            show("SELECT count(*) FROM jd2");
        });
        attempt("large object", () -> inTransaction(() -> {
            LargeObjectManager manager = ((PGConnection) connection).getLargeObjectAPI();
            long oid = manager.createLO();
            LargeObject object = manager.open(oid, LargeObjectManager.READWRITE);
            object.write("hello world".getBytes());
            object.seek(6);
            System.out.println(new String(object.read(5)) + object.size());
            object.close();
            manager.unlink(oid);
        }));
        attempt("functions", () -> {
            statement.execute("CREATE OR REPLACE FUNCTION jf(a int, OUT b int, OUT c text) LANGUAGE sql AS 'SELECT a + 1, ''c'' || a';"
                + "CREATE OR REPLACE FUNCTION jref() RETURNS refcursor LANGUAGE plpgsql AS"
                + " 'DECLARE r refcursor; BEGIN OPEN r FOR SELECT id, t FROM jd ORDER BY id LIMIT 3; RETURN r; END'");
            CallableStatement call = connection.prepareCall("{call jf(?, ?, ?)}");
            call.setInt(1, 4);
            call.registerOutParameter(2, Types.INTEGER);
            call.registerOutParameter(3, Types.VARCHAR);
            call.execute();
            System.out.println(call.getInt(2) + call.getString(3));
            inTransaction(() -> {
                CallableStatement cursor = connection.prepareCall("{? = call jref()}");
                cursor.registerOutParameter(1, Types.OTHER);
                cursor.execute();
                show((ResultSet) cursor.getObject(1));
            });
        });
        attempt("written to", () -> {
            Statement scrolls = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE);
            ResultSet all = scrolls.executeQuery("SELECT id, n, t FROM jd ORDER BY id");
            all.last();
            System.out.println(all.getRow());
            all.first();
            all.updateInt("n", 55);
            all.updateRow();
            all.moveToInsertRow();
            all.updateString("t", "new");
            all.insertRow();
            all.close();
            show("SELECT n, t FROM jd WHERE id = 1 OR t = 'new'");
        });
        attempt("metadata", () -> {
            DatabaseMetaData metadata = connection.getMetaData();
            show(metadata.getTables(null, "public", "jd%", new String[] {"TABLE"}));
            show(metadata.getColumns(null, "public", "jd", "%"));
            show(metadata.getPrimaryKeys(null, "public", "jd"));
            show(metadata.getImportedKeys(null, "public", "jd2"));
            show(metadata.getIndexInfo(null, "public", "jd", false, true));
        });
        attempt("escapes", () -> {
            show("SELECT {fn concat('a', 'b')}, {d '2024-01-01'}");
            PreparedStatement read = connection.prepareStatement("SELECT n FROM jd WHERE t LIKE ? AND j ?? 'a' ORDER BY id LIMIT 2");
            read.setString(1, "t%");
            show(read.executeQuery());
        });
    }
}
