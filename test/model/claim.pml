/* The claim protocol: who may write a page's frame, and when it may be mapped.
 *
 * The source claims PAGES pages as one run: all claims, one fence, then a second look at each `want`. A run list has
 * room for ROOM pages; the others are freed again and come with the next run. Any page may be faulted on at any time.
 * Claims pass through a store buffer, as they do on x86, so that a fence that is left out shows. The demand channels (one
 * per page) and the push channel execute in order, each at its own pace. Nothing may write to a frame that is mapped,
 * and in the end every page is mapped.
 *
 * With STAGED, pushed bytes land in a ring of one slot and are copied when the run list is taken in; a READ has a frame
 * of its own. Then the ring's slot must not be written before it has been copied.
 *
 * A READ whose answer was lost is executed again, and so are the READs behind it, after whatever else has happened
 * meanwhile; WRITEs and SENDs are not. Only the last answer counts.
 *
 * Each of these mutations must be found (see CMakeLists.txt):
 *   SKIP_SECOND_LOOK   the source does not look at `want` after it has claimed
 *   NO_CLAIMING        the claim is stored only after that look
 *   NO_FENCE           the look may overtake the claim
 *   FREE_AFTER_POST    a page that found no room in the list is freed although its WRITE is out
 *   CLAIM_BEFORE_WANT  the destination reads `claim` before it writes `want`
 *   MAP_ON_POSTED      it maps although the claim says that a push is on its way
 *   MAP_ON_CLAIMING    it takes Claiming for Free instead of reading it again
 *   MAP_WITHOUT_READ   an arrival maps a page whose READ is still out
 *   EARLY_CREDIT       (STAGED) the ring's slot is given back before it has been copied
 *   LATE_ANSWER        a READ is complete before all of its executions have come to an end
 *   REPEAT_WRITE       WRITEs on the push channel are executed again as READs are, after what was posted behind them
 *   LOSE_ARRIVAL       a push that arrives for an Arriving page does not map it: a thread would wait for ever
 */
#ifndef PAGES
#define PAGES 2
#endif
#ifndef ROOM
#define ROOM 1
#endif
#define RUNS 2

#define FREE     0
#define CLAIMING 1
#define YIELDED  2
#define POSTED   3

#define ABSENT         0
#define WANTED         1
#define WANTED_ARRIVED 2
#define ARRIVING       3
#define LANDED         4
#define MAPPED         5

#define RANGE(i) ((i) < PAGES)

/* At the source. */
byte claim[PAGES];
bit want[PAGES];
chan stores = [PAGES + 1] of { byte, byte };  /* The store buffer: page, claim. */
bit credit = 1;                               /* The ring's slot is free. */

/* The push channel: WRITEs of pages, then the run list as a set of pages. */
mtype = { write_page, run_list };
chan push = [RUNS * (PAGES + 1)] of { mtype, byte };
chan arrivals = [RUNS * PAGES] of { byte };
byte ring;                                    /* The page in the ring's slot, from 1. */

/* The demand channels. */
mtype = { write_want, read_claim, read_page, reread_claim };
chan requests_0 = [3] of { mtype };
chan requests_1 = [3] of { mtype };
chan requests_2 = [3] of { mtype };
chan completions = [PAGES] of { byte, byte }; /* page, claim */

/* At the destination. */
byte state[PAGES];
bit faulted[PAGES];

#define FRAME_WRITE(page) assert(state[page] != MAPPED)

active proctype store_buffer()
{
  byte page, value;
end:
  do
  :: d_step { stores ? page, value -> claim[page] = value; page = 0; value = 0 }
  od
}

active proctype source()
{
  byte round, page, room, listed;
  bit settled[PAGES];
  bit look;
  do
  :: round < RUNS ->
#ifdef STAGED
     credit;
#endif
     page = 0;
     do
     :: RANGE(page) ->
        if
#ifndef NO_CLAIMING
        :: !settled[page] -> stores ! page, CLAIMING
#endif
        :: else
        fi;
        page++
     :: else -> break
     od;
#ifndef NO_FENCE
     empty(stores);
#endif
     room = ROOM; listed = 0; page = 0;
     do
     :: RANGE(page) && settled[page] -> page++
     :: RANGE(page) && !settled[page] ->
        look = want[page];
#ifdef SKIP_SECOND_LOOK
        look = 0;
#endif
        if
        :: look -> stores ! page, YIELDED; settled[page] = 1
        :: !look && room == 0 ->
#ifdef FREE_AFTER_POST
           push ! write_page, page; listed = listed | (1 << page); settled[page] = 1;
#endif
           stores ! page, FREE
        :: !look && room > 0 ->
           stores ! page, POSTED;
           d_step { settled[page] = 1; room--; listed = listed | (1 << page); credit = 0 };
           push ! write_page, page
        fi;
        page++
     :: else -> break
     od;
     if
     :: listed != 0 -> push ! run_list, listed
     :: else
     fi;
     round++
  :: else -> break
  od
}

active proctype push_channel()
{
  mtype op;
  byte what, page;
#ifdef REPEAT_WRITE
  byte repeated;                              /* The page, from 1, whose WRITE may be executed again. */
#endif
end:
  do
  :: push ? op, what ->
     d_step {
       if
       :: op == write_page ->
#ifdef STAGED
          ring = what + 1
#else
          FRAME_WRITE(what)
#endif
#ifdef REPEAT_WRITE
          ; repeated = what + 1
#endif
       :: op == run_list ->
          page = 0;
          do
          :: RANGE(page) && (what & (1 << page)) -> arrivals ! page; page++
          :: RANGE(page) && !(what & (1 << page)) -> page++
          :: else -> break
          od;
          page = 0
#ifdef EARLY_CREDIT
          ; credit = 1
#endif
       fi;
       what = 0
     }
#ifdef REPEAT_WRITE
  :: d_step { repeated != 0 -> FRAME_WRITE(repeated - 1); repeated = 0 }
#endif
  od
}

proctype demand_channel(byte page; chan requests)
{
  mtype op;
  byte seen;
end:
  do
  :: requests ? op ->
     if
     :: op == write_want -> want[page] = 1
     :: op == read_claim -> seen = claim[page]
     :: op == read_page ->
#ifdef LATE_ANSWER
        completions ! page, seen;
#endif
#ifndef STAGED
        FRAME_WRITE(page);
#endif
        do
        :: seen = claim[page]  /* The claim's answer was lost; what is behind it follows. */
#ifndef STAGED
        :: FRAME_WRITE(page)
#endif
        :: break
        od
#ifndef LATE_ANSWER
        ; completions ! page, seen
#endif
     :: op == reread_claim ->
        seen = claim[page];
        do
        :: seen = claim[page]
        :: break
        od;
        completions ! page, seen
     fi
  od
}

inline ask(requests)
{
#ifdef CLAIM_BEFORE_WANT
  requests ! read_claim; requests ! write_want; requests ! read_page
#else
  requests ! write_want; requests ! read_claim; requests ! read_page
#endif
}

inline fault(page, requests)
{
  faulted[page] = 1;
  if
  :: state[page] == ABSENT -> state[page] = WANTED; ask(requests)
  :: state[page] == LANDED -> state[page] = MAPPED
  :: else
  fi
}

inline demanded(page, value)
{
  if
#ifndef MAP_ON_CLAIMING
  :: value == CLAIMING ->
     if
     :: page == 0 -> requests_0 ! reread_claim
     :: page == 1 -> requests_1 ! reread_claim
     :: page == 2 -> requests_2 ! reread_claim
     fi
#endif
#if !defined(MAP_ON_POSTED) && !defined(STAGED)
  :: value == POSTED && state[page] == WANTED -> state[page] = ARRIVING
#endif
  :: else -> state[page] = MAPPED
  fi
}

inline arrived(page)
{
#ifdef STAGED
  if
  :: state[page] == ABSENT -> assert(ring == page + 1); state[page] = MAPPED
  :: state[page] == WANTED -> state[page] = WANTED_ARRIVED
  :: else
  fi;
#ifndef EARLY_CREDIT
  ring = 0; credit = 1
#endif
#else
  if
  :: state[page] == ABSENT -> state[page] = LANDED
#ifdef MAP_WITHOUT_READ
  :: state[page] == WANTED -> state[page] = MAPPED
#else
  :: state[page] == WANTED -> state[page] = WANTED_ARRIVED
#endif
#ifndef LOSE_ARRIVAL
  :: state[page] == ARRIVING -> state[page] = MAPPED
#else
  :: state[page] == ARRIVING -> skip
#endif
  :: else -> assert(false)  /* Pushed, though it was here already. */
  fi
#endif
}

#define MAY_FAULT(page) (!faulted[page] && (state[page] == ABSENT || state[page] == LANDED))

active proctype destination()
{
  byte page, value;
  atomic {
    run demand_channel(0, requests_0);
    run demand_channel(1, requests_1);
#if PAGES > 2
    run demand_channel(2, requests_2);
#endif
  }
  do
  :: atomic { MAY_FAULT(0) -> fault(0, requests_0) }
  :: atomic { MAY_FAULT(1) -> fault(1, requests_1) }
#if PAGES > 2
  :: atomic { MAY_FAULT(2) -> fault(2, requests_2) }
#endif
  :: atomic { completions ? page, value -> demanded(page, value); page = 0; value = 0 }
  :: atomic { arrivals ? page -> arrived(page); page = 0 }
     /* The mapper, in the background. */
  :: d_step { state[0] == LANDED -> state[0] = MAPPED }
  :: d_step { state[1] == LANDED -> state[1] = MAPPED }
#if PAGES > 2
  :: d_step { state[2] == LANDED -> state[2] = MAPPED }
#endif
  :: timeout -> break
  od;
  page = 0;
  do
  :: RANGE(page) -> assert(state[page] == MAPPED); page++
  :: else -> break
  od
}
