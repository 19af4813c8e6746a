/** Messages inside messages. "The default limit is 100" - protobuf C++ and Java, CodedInputStream. */
export const MAX_MESSAGE_DEPTH = 100;
/** An `Any` inside an `Any`, and so on. The deepest that means anything is 16: load balancing policies (gRFC A52). */
export const MAX_ANY_DEPTH = 32;
/**
 * Values in one resource, and resources, removed names and errors in one response, so that few bytes cannot become much memory: two bytes make
 * an empty message of fifty, or a list's element. An assignment of 100,000 endpoints has less than a million.
 */
export const MAX_VALUES = 1_000_000;
/** Entries of one map, those given twice included: whoever reads a map sees all of its keys in one go. */
export const MAX_MAP_ENTRIES = 20_000;
/**
 * Bytes of one string, or of one field of bytes: they are checked and copied in one go, 1 ms for so many. A certificate bundle has a fifth of
 * it. What stays packed, the content of an `Any`, is not copied and may be larger.
 */
export const MAX_STRING_BYTES = 1_048_576;
/** Fields of an unknown group, which is passed over in one go. No proto3 message has a group. */
export const MAX_GROUP_FIELDS = 1_000;
/** Fields, elements and ends of messages between two pauses: about 0.2 ms of work. A message with fewer is read without any. */
export const STEP_SIZE = 2_000;
/** Bytes of a string that are as much work as one field. */
export const BYTES_PER_STEP = 64;
