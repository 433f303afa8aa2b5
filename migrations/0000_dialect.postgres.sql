-- What SQLite has and PostgreSQL lacks, so that one text serves both.
CREATE DOMAIN blob AS bytea;

-- `IN (SELECT unhex(value) FROM json_each($1))` is how a statement takes a list of ids: a JSON array of 32-digit hex texts.
CREATE FUNCTION json_each(list text) RETURNS TABLE (value text)
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT json_array_elements_text(CAST(list AS json)) $$;

CREATE FUNCTION unhex(hex text) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CAST(hex AS uuid) $$;

CREATE FUNCTION json_extract(document text, path text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT jsonb_path_query_first(CAST(document AS jsonb), CAST(path AS jsonpath)) #>> '{}' $$;
