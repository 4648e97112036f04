import { SCHEMA_VERSION } from './postgres-query.ts'

/** The SQL of every operation, each a single statement. `table` is quoted. */
export interface PostgresStatements {
  readonly claim: string
  readonly heartbeat: string
  readonly dispatch: string
  readonly complete: string
  readonly release: string
  readonly markUncertain: string
  readonly resolveRerun: string
  readonly resolveOutcome: string
  readonly sweep: string
}

/**
 * Each operation is one statement and so one transaction: nothing is left in a session that a pooler may hand
 * to another client, and a client that crashes leaves no lock behind.
 *
 * Each reads the clock once, before it waits for any lock, because two readings within one statement could
 * disagree about a lease that ends between them. A slightly old time is safe: whatever happened during the
 * wait is in the record by the time it is written.
 */
export function statementsFor(table: string): PostgresStatements {
  return {
    claim: claim(table),
    heartbeat: byOwner(table, {
      set: `lease_until = ask.now + ${milliseconds('$4')},
        expires_at = greatest(t.expires_at, ask.now + ${milliseconds('$4')})`,
      when: "t.state IN ('claimed', 'dispatched')",
    }),
    dispatch: byOwner(table, {
      set: "state = 'dispatched'",
      when: "t.state IN ('claimed', 'dispatched') AND t.lease_until > ask.now",
    }),
    // Also matches a record that this claim has already settled, and leaves it unchanged: a repeated call
    // must not depend on whether its snapshot shows the first one.
    complete: byOwner(table, {
      set: `state = CASE WHEN ${SETTLED} THEN t.state ELSE $4::text END,
        result = CASE WHEN ${SETTLED} THEN t.result ELSE $5::text END,
        refusal = CASE WHEN ${SETTLED} THEN t.refusal ELSE $6::text END,
        expires_at = CASE WHEN ${SETTLED} THEN t.expires_at ELSE ask.now + ${milliseconds('$7')} END`,
      when: `(${UNSETTLED} OR ${SETTLED})`,
    }),
    // The notice of an earlier owner may still be read by waiters. Without one, the record expires here.
    release: byOwner(table, {
      set: `state = CASE WHEN ${DOUBTFUL} THEN 'uncertain' ELSE 'free' END,
        left_fence = CASE WHEN ${SILENT} THEN t.left_fence ELSE t.fence END,
        left_notice = CASE WHEN ${SILENT} THEN t.left_notice ELSE $4::text END,
        left_until = CASE WHEN ${SILENT} THEN t.left_until
          ELSE ask.now + ${milliseconds('$5')} END,
        expires_at = CASE WHEN ${DOUBTFUL} THEN ask.now + ${milliseconds('$6')}
          WHEN ${SILENT} THEN coalesce(t.left_until, ask.now)
          ELSE ask.now + ${milliseconds('$5')} END`,
      when: UNSETTLED,
    }),
    markUncertain: byOwner(table, {
      set: `state = 'uncertain', expires_at = ask.now + ${milliseconds('$4')}`,
      when: UNSETTLED,
    }),
    // Clears the owner, so that the claim of the owner that left the record uncertain is lost.
    resolveRerun: ofUncertain(table, "owner = '', state = 'free', expires_at = ask.now"),
    resolveOutcome: ofUncertain(
      table,
      `owner = '', state = $2::text, result = $3::text, refusal = $4::text,
        expires_at = ask.now + ${milliseconds('$5')}`,
    ),
    sweep: sweep(table),
  }
}

/**
 * How long, in milliseconds, an operation waits for a row lock. Our own locks last for a commit; a longer one
 * means a standby that does not confirm, or an interactive session.
 */
const LOCK_TIMEOUT_MS = 2_000

/**
 * The time of the operation, and the limit of its waits for locks. `set_config(…, true)` lasts until the end
 * of the transaction, which is this statement, and works through any pooler.
 */
const ASK = `ask AS MATERIALIZED (
  SELECT clock_timestamp() AS now, set_config('lock_timeout', '${LOCK_TIMEOUT_MS}', true) AS bound
)`

const UNSETTLED = "t.state IN ('claimed', 'dispatched', 'uncertain')"
const SETTLED = "t.state IN ('done', 'failed')"

/** A release of work that may have been done, under a policy that forbids repeating it. */
const DOUBTFUL = "($6::float8 IS NOT NULL AND t.on_uncertain = 'fail')"
/** A release that leaves no notice. */
const SILENT = `(${DOUBTFUL} OR $4::text IS NULL)`

function milliseconds(parameter: string): string {
  return `${parameter}::float8 * interval '1 millisecond'`
}

/** Parameters: 1 key, 2 owner, 3 fence, then those of the operation. */
function byOwner(table: string, { set, when }: { readonly set: string; readonly when: string }) {
  return changing(table, set, `t.owner = $2::text AND t.fence = $3::bigint AND ${when}`)
}

/** Parameters: 1 key, then those of the verdict. */
function ofUncertain(table: string, set: string): string {
  return changing(table, set, "t.state = 'uncertain'")
}

/** Returns a row on success and for a damaged record, which is left unchanged; no row means `false`. */
function changing(table: string, set: string, when: string): string {
  const there = 't.key = $1::text AND t.expires_at > ask.now'
  return `WITH ${ASK},
    held AS (
      UPDATE ${table} AS t SET ${set} FROM ask
      WHERE ${there} AND NOT (${DAMAGED}) AND ${when}
      RETURNING t.key
    )
    SELECT 'held' AS verdict FROM held
    UNION ALL
    SELECT 'damaged' FROM ${table} AS t, ask
    WHERE NOT EXISTS (SELECT FROM held) AND ${there} AND (${DAMAGED})`
}

/**
 * Parameters: 1 key, 2 fingerprint, 3 owner, 4 lease, 5 onUncertain, 6 ttl, 7 waitedFor.
 *
 * Most claims find an outcome or an active lease. These only read, without a lock, WAL record or disk write.
 * Otherwise the record is judged again under its lock, because another claim may have been faster. If that
 * happened, no row is returned, and the caller has to repeat the claim.
 */
function claim(table: string): string {
  return `WITH ${ASK},
    seen AS MATERIALIZED (
      SELECT t.*, ask.now, ${judged('ask.now')} AS verdict
      FROM ${table} AS t, ask WHERE t.key = $1::text
    ),
    written AS (
      INSERT INTO ${table} AS t (schema_version, key, state, owner, fence, fingerprint, on_uncertain,
        claimed_at, lease_until, expires_at)
      SELECT ${SCHEMA_VERSION}, $1::text, 'claimed', $3::text, 1, $2::text, $5::text,
        now, now + ${milliseconds('$4')}, now + ${milliseconds('greatest($6::float8, $4::float8)')}
      FROM ask WHERE NOT EXISTS (SELECT FROM seen WHERE verdict IN (${FINAL}))
      ON CONFLICT (key) DO UPDATE SET (state, owner, fence, fingerprint, on_uncertain, claimed_at,
        lease_until, expires_at, result, refusal, left_fence, left_notice, left_until) = (
        SELECT ${afterClaim()}
        FROM (SELECT ${judged('excluded.claimed_at')} AS verdict) AS judgement
      )
      WHERE ${judged('excluded.claimed_at')} NOT IN (${FINAL})
      RETURNING t.*
    )
    SELECT CASE
        WHEN state = 'uncertain' THEN 'uncertain'
        WHEN owner = $3::text THEN 'owned'
        ELSE 'busy'
      END AS verdict, ${ANSWER} FROM written
    UNION ALL
    SELECT verdict, ${ANSWER} FROM seen WHERE verdict IN (${FINAL})`
}

/** Verdicts that change nothing. */
const FINAL = "'damaged', 'mismatch', 'settled', 'left', 'busy', 'uncertain'"

/** Converted to text, independently of the driver's type parsers; times as the remaining milliseconds. */
const ANSWER = `state, fence::text AS fence, on_uncertain, result, refusal, left_notice,
  CASE WHEN isfinite(lease_until) THEN
    greatest(0, extract(epoch FROM lease_until - clock_timestamp()) * 1000)::float8::text
  END AS lease_left_ms`

/** Values that the table's constraints forbid, or that cannot be used in calculations. */
const DAMAGED = `t.schema_version <> ${SCHEMA_VERSION}
      OR t.state NOT IN ('claimed', 'dispatched', 'uncertain', 'done', 'failed', 'free')
      OR t.on_uncertain NOT IN ('rerun', 'fail')
      OR t.fence NOT BETWEEN 1 AND ${Number.MAX_SAFE_INTEGER - 1}
      OR NOT isfinite(t.lease_until) OR NOT isfinite(t.expires_at)`

/** The contract's verdict on a claim that meets the record `t`, in the contract's order. */
function judged(now: string): string {
  return `CASE
    WHEN t.expires_at <= ${now} THEN 'expired'
    WHEN ${DAMAGED} THEN 'damaged'
    WHEN t.state <> 'free' AND t.fingerprint <> $2::text
      THEN CASE t.state WHEN 'failed' THEN 'free' ELSE 'mismatch' END
    WHEN t.state IN ('done', 'failed') THEN 'settled'
    WHEN t.left_fence = $7::bigint AND t.left_until > ${now} THEN 'left'
    WHEN t.state = 'free' THEN 'free'
    WHEN t.state = 'uncertain' THEN 'uncertain'
    WHEN t.owner = $3::text THEN 'again'
    WHEN t.lease_until > ${now}
      THEN CASE WHEN $5::text = 'fail' AND t.on_uncertain <> 'fail' THEN 'stricter' ELSE 'busy' END
    WHEN t.state = 'claimed' OR ($5::text = 'rerun' AND t.on_uncertain = 'rerun') THEN 'lapsed'
    ELSE 'doubtful'
  END`
}

/** The new values of the columns above after a verdict that changes the record. */
function afterClaim(): string {
  const taken = "verdict IN ('expired', 'free', 'lapsed')"
  const unlessExpired = (column: string) =>
    `CASE verdict WHEN 'expired' THEN NULL ELSE t.${column} END`
  return `
    CASE WHEN ${taken} THEN 'claimed' WHEN verdict = 'doubtful' THEN 'uncertain' ELSE t.state END,
    CASE WHEN ${taken} THEN excluded.owner ELSE t.owner END,
    CASE WHEN verdict = 'expired' THEN 1 WHEN ${taken} THEN t.fence + 1 ELSE t.fence END,
    CASE WHEN ${taken} THEN excluded.fingerprint ELSE t.fingerprint END,
    CASE WHEN verdict IN ('expired', 'free') OR excluded.on_uncertain = 'fail'
      THEN excluded.on_uncertain ELSE t.on_uncertain END,
    CASE WHEN ${taken} THEN excluded.claimed_at ELSE t.claimed_at END,
    CASE WHEN ${taken} OR verdict = 'again' THEN excluded.lease_until ELSE t.lease_until END,
    CASE WHEN ${taken} THEN excluded.expires_at
      WHEN verdict = 'again' THEN greatest(t.expires_at, excluded.lease_until)
      WHEN verdict = 'doubtful' THEN excluded.claimed_at + ${milliseconds('$6')}
      ELSE t.expires_at END,
    CASE WHEN ${taken} THEN NULL ELSE t.result END,
    CASE WHEN ${taken} THEN NULL ELSE t.refusal END,
    ${unlessExpired('left_fence')}, ${unlessExpired('left_notice')}, ${unlessExpired('left_until')}`
}

/**
 * Parameters: 1 maximum number of rows. Uses `now()`, which is never later than `clock_timestamp()` and, unlike
 * it, can be looked up in an index. Rows locked by other transactions are left for the next sweep.
 */
function sweep(table: string): string {
  return `WITH gone AS (
      DELETE FROM ${table} AS t USING (
        SELECT key FROM ${table} WHERE expires_at <= now()
        ORDER BY expires_at LIMIT $1::int FOR UPDATE SKIP LOCKED
      ) AS expired
      WHERE t.key = expired.key AND t.expires_at <= now()
      RETURNING 1
    )
    SELECT count(*)::text AS removed FROM gone`
}
