/* The slow paths' way to the thread-local pointer that the header reads inline. Rust has no thread-local variables
 * that C can name: src/thread.rs places the object, this file accesses it. */
#include "ringscope.h"

void ringscope_private_set_tls(ringscope_writer *writer)
{
    ringscope_tls = writer;
}
