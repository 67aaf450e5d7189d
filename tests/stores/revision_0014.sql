-- A state DB of revision 0014 as the version that made the revision has left it. Never to be changed.
PRAGMA application_id=1953002084;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE threads (
	number INTEGER NOT NULL,
	id VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	size BIGINT NOT NULL,
	mtime_ns BIGINT NOT NULL,
	archived BOOLEAN NOT NULL,
	created_at_ms BIGINT NOT NULL,
	updated_at_ms BIGINT NOT NULL,
	recency_at_ms BIGINT NOT NULL,
	archived_at_ms BIGINT,
	session_id VARCHAR,
	parent_thread_id VARCHAR,
	forked_from_id VARCHAR,
	preview VARCHAR NOT NULL,
	has_preview BOOLEAN NOT NULL GENERATED ALWAYS AS (preview != '') VIRTUAL,
	name VARCHAR,
	source JSON NOT NULL,
	source_kind VARCHAR NOT NULL,
	thread_source VARCHAR,
	agent_nickname VARCHAR,
	agent_role VARCHAR,
	model_provider VARCHAR NOT NULL,
	cwd VARCHAR NOT NULL,
	cli_version VARCHAR NOT NULL,
	originator VARCHAR,
	history_mode VARCHAR NOT NULL,
	history_base_id VARCHAR,
	history_base_end_ordinal BIGINT,
	history_base_end_offset BIGINT,
	git JSON,
	recorded JSON NOT NULL,
	attached_to_id VARCHAR,
	attached BOOLEAN NOT NULL GENERATED ALWAYS AS (attached_to_id IS NOT NULL) VIRTUAL,
	PRIMARY KEY (number)
);
CREATE UNIQUE INDEX ix_threads_id ON threads (id);
CREATE INDEX ix_threads_path ON threads (path);
CREATE INDEX ix_threads_cwd_created ON threads (cwd, archived, has_preview, attached, source_kind, model_provider, created_at_ms, id);
CREATE INDEX ix_threads_cwd_recency ON threads (cwd, archived, has_preview, attached, source_kind, model_provider, recency_at_ms, id);
CREATE INDEX ix_threads_name ON threads (name);
CREATE INDEX ix_threads_recency ON threads (archived, has_preview, attached, source_kind, model_provider, recency_at_ms, id);
CREATE INDEX ix_threads_cwd_updated ON threads (cwd, archived, has_preview, attached, source_kind, model_provider, updated_at_ms, id);
CREATE INDEX ix_threads_parent_thread_id ON threads (parent_thread_id);
CREATE INDEX ix_threads_attached_to_id ON threads (attached_to_id);
CREATE INDEX ix_threads_updated ON threads (archived, has_preview, attached, source_kind, model_provider, updated_at_ms, id);
CREATE INDEX ix_threads_history_base_id ON threads (history_base_id);
CREATE INDEX ix_threads_created ON threads (archived, has_preview, attached, source_kind, model_provider, created_at_ms, id);
CREATE TABLE thread_counts (
	archived BOOLEAN NOT NULL,
	has_preview BOOLEAN NOT NULL,
	attached BOOLEAN NOT NULL,
	source_kind VARCHAR NOT NULL,
	model_provider VARCHAR NOT NULL,
	cwd VARCHAR NOT NULL,
	n INTEGER NOT NULL,
	PRIMARY KEY (archived, has_preview, attached, source_kind, model_provider, cwd)
)
 WITHOUT ROWID;
CREATE TABLE cwds (
	cwd VARCHAR NOT NULL,
	place VARCHAR NOT NULL,
	PRIMARY KEY (cwd)
)
 WITHOUT ROWID;
CREATE INDEX ix_cwds_place ON cwds (place);
CREATE TABLE spawn_edges (
	child_id VARCHAR NOT NULL,
	parent_id VARCHAR NOT NULL,
	status VARCHAR NOT NULL,
	PRIMARY KEY (child_id)
);
CREATE INDEX ix_spawn_edges_parent ON spawn_edges (parent_id, child_id, status);
CREATE TABLE histories (
	number INTEGER NOT NULL,
	thread_id VARCHAR NOT NULL,
	size BIGINT NOT NULL,
	mtime_ns BIGINT NOT NULL,
	base BIGINT NOT NULL,
	"end" BIGINT NOT NULL,
	"check" VARCHAR NOT NULL,
	turns INTEGER NOT NULL,
	items INTEGER NOT NULL,
	next_item INTEGER NOT NULL,
	next_ordinal BIGINT NOT NULL,
	open_calls JSON NOT NULL,
	PRIMARY KEY (number),
	UNIQUE (thread_id)
);
CREATE TABLE unread (
	thread_id VARCHAR NOT NULL,
	updated_at_ms BIGINT NOT NULL,
	PRIMARY KEY (thread_id)
);
CREATE INDEX ix_unread_updated_at_ms ON unread (updated_at_ms);
CREATE TABLE unreadable (
	path VARCHAR NOT NULL,
	size BIGINT,
	mtime_ns BIGINT,
	reader INTEGER NOT NULL,
	byte BIGINT NOT NULL,
	reason VARCHAR NOT NULL,
	PRIMARY KEY (path)
);
CREATE TABLE copies (
	path VARCHAR NOT NULL,
	size BIGINT NOT NULL,
	mtime_ns BIGINT NOT NULL,
	thread_id VARCHAR NOT NULL,
	PRIMARY KEY (path)
);
CREATE INDEX ix_copies_thread_id ON copies (thread_id);
CREATE TABLE events (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at_ms BIGINT NOT NULL,
	type VARCHAR NOT NULL,
	thread_id VARCHAR NOT NULL,
	payload JSON NOT NULL
);
CREATE INDEX ix_events_thread ON events (thread_id, seq);
CREATE TABLE operations (
	id VARCHAR NOT NULL,
	kind VARCHAR NOT NULL,
	root_id VARCHAR NOT NULL,
	state VARCHAR NOT NULL,
	started_at_ms BIGINT NOT NULL,
	result JSON NOT NULL,
	PRIMARY KEY (id)
);
CREATE INDEX ix_operations_state ON operations (state, started_at_ms, id);
CREATE TABLE receipts (
	client VARCHAR NOT NULL,
	connection VARCHAR NOT NULL,
	request_id VARCHAR NOT NULL,
	tool VARCHAR NOT NULL,
	fingerprint VARCHAR NOT NULL,
	process VARCHAR NOT NULL,
	at_ms BIGINT NOT NULL,
	result JSON,
	PRIMARY KEY (client, connection, request_id)
);
CREATE INDEX ix_receipts_request ON receipts (client, request_id, at_ms);
CREATE TABLE tombstones (
	thread_id VARCHAR NOT NULL,
	at_ms BIGINT NOT NULL,
	PRIMARY KEY (thread_id)
);
CREATE TABLE backfill (
	id INTEGER NOT NULL,
	status VARCHAR NOT NULL,
	watermark VARCHAR,
	owner VARCHAR,
	updated_at_ms BIGINT NOT NULL,
	completed_at_ms BIGINT,
	done INTEGER NOT NULL,
	found INTEGER NOT NULL,
	horizon_ms BIGINT,
	PRIMARY KEY (id),
	CONSTRAINT ck_backfill_single CHECK (id = 1)
);
CREATE TABLE meta (
	"key" VARCHAR NOT NULL,
	value JSON NOT NULL,
	PRIMARY KEY ("key")
);
CREATE TABLE turns (
	history INTEGER NOT NULL,
	number INTEGER NOT NULL,
	turn_id VARCHAR NOT NULL,
	start BIGINT NOT NULL,
	"end" BIGINT NOT NULL,
	line INTEGER NOT NULL,
	item INTEGER NOT NULL,
	counted INTEGER NOT NULL,
	items INTEGER NOT NULL,
	size INTEGER NOT NULL,
	facts BLOB NOT NULL,
	PRIMARY KEY (history, number),
	FOREIGN KEY(history) REFERENCES histories (number) ON DELETE CASCADE
)
 WITHOUT ROWID;
CREATE INDEX ix_turns_turn_id ON turns (history, turn_id);
CREATE INDEX ix_turns_start ON turns (history, start);
CREATE TABLE texts (
	number INTEGER NOT NULL,
	history INTEGER NOT NULL,
	turn BIGINT NOT NULL,
	start BIGINT NOT NULL,
	"end" BIGINT NOT NULL,
	PRIMARY KEY (number),
	FOREIGN KEY(history) REFERENCES histories (number) ON DELETE CASCADE
);
CREATE INDEX ix_texts_history ON texts (history);
CREATE TABLE operation_moves (
	operation_id VARCHAR NOT NULL,
	position INTEGER NOT NULL,
	thread_id VARCHAR NOT NULL,
	path VARCHAR NOT NULL,
	PRIMARY KEY (operation_id, position),
	FOREIGN KEY(operation_id) REFERENCES operations (id) ON DELETE CASCADE
);
CREATE INDEX ix_operation_moves_thread_id ON operation_moves (thread_id);
CREATE VIRTUAL TABLE threads_text USING fts5(name, preview, content='threads', content_rowid='number', tokenize='trigram case_sensitive 1', detail='none', columnsize=0);
CREATE VIRTUAL TABLE names_text USING fts5(name, content='', tokenize='trigram', detail='none', columnsize=0);
CREATE VIRTUAL TABLE said_text USING fts5(text, content='', tokenize='trigram', detail='none', columnsize=0);
CREATE VIRTUAL TABLE tool_text USING fts5(text, content='', tokenize='trigram', detail='none', columnsize=0);
CREATE VIRTUAL TABLE names_text_grams USING fts5vocab('names_text', 'row');
CREATE VIRTUAL TABLE said_text_grams USING fts5vocab('said_text', 'row');
CREATE VIRTUAL TABLE tool_text_grams USING fts5vocab('tool_text', 'row');
CREATE TRIGGER threads_insert AFTER INSERT ON threads BEGIN INSERT INTO thread_counts (archived, has_preview, attached, source_kind, model_provider, cwd, n) VALUES (new.archived, new.has_preview, new.attached, new.source_kind, new.model_provider, new.cwd, 1) ON CONFLICT (archived, has_preview, attached, source_kind, model_provider, cwd) DO UPDATE SET n = n + 1; INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview); END;
CREATE TRIGGER threads_delete AFTER DELETE ON threads BEGIN UPDATE thread_counts SET n = n - 1 WHERE archived = old.archived AND has_preview = old.has_preview AND attached = old.attached AND source_kind = old.source_kind AND model_provider = old.model_provider AND cwd = old.cwd; DELETE FROM thread_counts WHERE archived = old.archived AND has_preview = old.has_preview AND attached = old.attached AND source_kind = old.source_kind AND model_provider = old.model_provider AND cwd = old.cwd AND n = 0; INSERT INTO threads_text (threads_text, rowid, name, preview) VALUES ('delete', old.number, old.name, old.preview); END;
CREATE TRIGGER threads_recount AFTER UPDATE OF archived, preview, attached_to_id, source_kind, model_provider, cwd ON threads WHEN (old.archived, old.has_preview, old.attached, old.source_kind, old.model_provider, old.cwd) IS NOT (new.archived, new.has_preview, new.attached, new.source_kind, new.model_provider, new.cwd) BEGIN UPDATE thread_counts SET n = n - 1 WHERE archived = old.archived AND has_preview = old.has_preview AND attached = old.attached AND source_kind = old.source_kind AND model_provider = old.model_provider AND cwd = old.cwd; DELETE FROM thread_counts WHERE archived = old.archived AND has_preview = old.has_preview AND attached = old.attached AND source_kind = old.source_kind AND model_provider = old.model_provider AND cwd = old.cwd AND n = 0; INSERT INTO thread_counts (archived, has_preview, attached, source_kind, model_provider, cwd, n) VALUES (new.archived, new.has_preview, new.attached, new.source_kind, new.model_provider, new.cwd, 1) ON CONFLICT (archived, has_preview, attached, source_kind, model_provider, cwd) DO UPDATE SET n = n + 1; END;
CREATE TRIGGER threads_reword AFTER UPDATE OF name, preview ON threads WHEN (old.name, old.preview) IS NOT (new.name, new.preview) BEGIN INSERT INTO threads_text (threads_text, rowid, name, preview) VALUES ('delete', old.number, old.name, old.preview); INSERT INTO threads_text (rowid, name, preview) VALUES (new.number, new.name, new.preview); END;
CREATE TRIGGER names_insert AFTER INSERT ON threads BEGIN INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '

' WHERE new.name IS NOT NULL; END;
CREATE TRIGGER names_delete AFTER DELETE ON threads BEGIN INSERT INTO names_text (names_text, rowid, name) SELECT 'delete', old.number, old.name || '

' WHERE old.name IS NOT NULL; END;
CREATE TRIGGER names_change AFTER UPDATE OF name ON threads WHEN old.name IS NOT new.name BEGIN INSERT INTO names_text (names_text, rowid, name) SELECT 'delete', old.number, old.name || '

' WHERE old.name IS NOT NULL; INSERT INTO names_text (rowid, name) SELECT new.number, new.name || '

' WHERE new.name IS NOT NULL; END;
INSERT INTO alembic_version ("version_num") VALUES ('0014');
INSERT INTO threads ("number", "id", "path", "size", "mtime_ns", "archived", "created_at_ms", "updated_at_ms", "recency_at_ms", "archived_at_ms", "session_id", "parent_thread_id", "forked_from_id", "preview", "name", "source", "source_kind", "thread_source", "agent_nickname", "agent_role", "model_provider", "cwd", "cli_version", "originator", "history_mode", "history_base_id", "history_base_end_ordinal", "history_base_end_offset", "git", "recorded", "attached_to_id") VALUES (1, 'root', 'sessions/2026/11/22/root.jsonl', 900, 1790000000123456789, 0, 1790000000000, 1790000000123, 1790000000100, NULL, 'root', NULL, NULL, 'Say "größer"', 'The root', '"cli"', 'cli', NULL, NULL, NULL, 'openai', '/srv/Project/', '0.169.0', 'codex', 'legacy', NULL, NULL, NULL, '{"sha":"abc","branch":"main","origin_url":null}', '{"model":"gpt","approval_policy":"never","sandbox":{"type":"readOnly"}}', NULL);
INSERT INTO threads ("number", "id", "path", "size", "mtime_ns", "archived", "created_at_ms", "updated_at_ms", "recency_at_ms", "archived_at_ms", "session_id", "parent_thread_id", "forked_from_id", "preview", "name", "source", "source_kind", "thread_source", "agent_nickname", "agent_role", "model_provider", "cwd", "cli_version", "originator", "history_mode", "history_base_id", "history_base_end_ordinal", "history_base_end_offset", "git", "recorded", "attached_to_id") VALUES (2, 'child', 'archived_sessions/child.jsonl', 100, 2000000, 1, 2, 3, 4, 5, 'root', 'root', 'root', '', NULL, '{"subagent":{"thread_spawn":{"parent_thread_id":"root","depth":1}}}', 'subAgentThreadSpawn', NULL, 'Gen', NULL, '', '', '', NULL, 'paginated', 'root', 12, 345, NULL, '{}', 'root');
INSERT INTO cwds ("cwd", "place") VALUES ('', '');
INSERT INTO cwds ("cwd", "place") VALUES ('/srv/Project/', '/srv/Project');
INSERT INTO spawn_edges ("child_id", "parent_id", "status") VALUES ('grandchild', 'root', 'closed');
INSERT INTO spawn_edges ("child_id", "parent_id", "status") VALUES ('child', 'root', 'open');
INSERT INTO histories ("number", "thread_id", "size", "mtime_ns", "base", "end", "check", "turns", "items", "next_item", "next_ordinal", "open_calls") VALUES (1, 'root', 900, 1790000000123456789, 0, 900, 'check', 1, 2, 3, 9, '["call-1"]');
INSERT INTO unread ("thread_id", "updated_at_ms") VALUES ('child', 3);
INSERT INTO unreadable ("path", "size", "mtime_ns", "reader", "byte", "reason") VALUES ('sessions/bad.jsonl', 7, 8, 2, 9, 'holds no readable line');
INSERT INTO copies ("path", "size", "mtime_ns", "thread_id") VALUES ('sessions/copy.jsonl', 5, 6, 'root');
INSERT INTO events ("seq", "at_ms", "type", "thread_id", "payload") VALUES (1, 1795900355038, 'thread/name/updated', 'root', '{"thread_id": "root", "thread_name": "The \ud800 root"}');
INSERT INTO operations ("id", "kind", "root_id", "state", "started_at_ms", "result") VALUES ('op-1', 'archive', 'root', 'running', 7, '{"asked": ["root"]}');
INSERT INTO operations ("id", "kind", "root_id", "state", "started_at_ms", "result") VALUES ('op-0', 'delete', 'gone', 'done', 6, '{"deleted": 1}');
INSERT INTO receipts ("client", "connection", "request_id", "tool", "fingerprint", "process", "at_ms", "result") VALUES ('client', '', 'claimed', 'thread_start', 'f1', 'p1', 8, NULL);
INSERT INTO receipts ("client", "connection", "request_id", "tool", "fingerprint", "process", "at_ms", "result") VALUES ('client', 'c1', 'done', 'turn_append', 'f2', 'p2', 10, '{"turn": {"id": "t", "items": [1, 2.5, null, true]}}');
INSERT INTO tombstones ("thread_id", "at_ms") VALUES ('gone', 1795900355038);
INSERT INTO backfill ("id", "status", "watermark", "owner", "updated_at_ms", "completed_at_ms", "done", "found", "horizon_ms") VALUES (1, 'complete', 'w', 'me', 14, 15, 2, 2, 16);
INSERT INTO meta ("key", "value") VALUES ('texts_begun_ms', 1795900355060);
INSERT INTO meta ("key", "value") VALUES ('names_stamp', '{"size": 11, "mtime_ns": 12}');
INSERT INTO turns ("history", "number", "turn_id", "start", "end", "line", "item", "counted", "items", "size", "facts") VALUES (1, 0, 'turn-1', 100, 900, 1, 1, 0, 0, 2, X'5B22636F6D706C65746564222C312C322C332C5B32302C3130302C226974656D2D31225D2C5B3131302C3230302C226974656D2D32225D2C6E756C6C2C6E756C6C2C5B5D2C5B5B3135302C332C322C312C315D5D5D');
INSERT INTO texts ("number", "history", "turn", "start", "end") VALUES (1099511627774, 1, 100, 120, 200);
INSERT INTO texts ("number", "history", "turn", "start", "end") VALUES (1099511627775, 1, 100, 210, 300);
INSERT INTO operation_moves ("operation_id", "position", "thread_id", "path") VALUES ('op-1', 0, 'child', 'sessions/child.jsonl');
INSERT INTO operation_moves ("operation_id", "position", "thread_id", "path") VALUES ('op-1', 1, 'root', 'sessions/2026/11/22/root.jsonl');
INSERT INTO operation_moves ("operation_id", "position", "thread_id", "path") VALUES ('op-0', 0, 'gone', 'sessions/gone.jsonl');
INSERT INTO said_text (rowid, text) VALUES (1099511627774, 'a needle in the text

');
INSERT INTO tool_text (rowid, text) VALUES (1099511627775, 'what a tool said

');
