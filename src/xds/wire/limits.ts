/** Messages inside messages. "The default limit is 100" - protobuf C++ and Java, CodedInputStream. */
export const MAX_MESSAGE_DEPTH = 100;
/** An `Any` inside an `Any`, and so on. The deepest that means anything is 16: load balancing policies (gRFC A52). */
export const MAX_ANY_DEPTH = 32;
/** Values in one resource, so that few bytes cannot become much memory: two bytes make an empty message of fifty. */
export const MAX_VALUES = 10_000_000;
