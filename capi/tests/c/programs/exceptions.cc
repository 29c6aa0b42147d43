// An exception ends the spans that it leaves, and none comes out of the library.
#include <ringscope.h>

#include <memory>
#include <stdexcept>
#include <string>

template <typename T>
static void generic(T value)
{
    RINGSCOPE_SPAN("generic", "value", value);
}

static void fail(int depth)
{
    RINGSCOPE_SPAN("throws", "depth", depth);
    RINGSCOPE_LAP(lap, "phase");
    if (depth == 0)
        throw std::runtime_error("expected");
    fail(depth - 1);
}

struct Recorder {
    ~Recorder() { RINGSCOPE_INSTANT("in a destructor"); }
};

static_assert(noexcept(ringscope_init(nullptr)), "no exception crosses the library's border");

int main()
{
    std::string text = "a string";
    std::string_view view = "a view";
    generic(1);
    generic(2.5);
    generic("literal");
    generic(text);
    generic(view);
    auto lambda = [](auto value) { RINGSCOPE_INSTANT("lambda", "value", value); };
    lambda(true);
    lambda(nullptr == nullptr ? 'a' : 'b');
    try {
        RINGSCOPE_SPAN("catches");
        auto recorder = std::make_unique<Recorder>();
        fail(2);
    } catch (const std::runtime_error &) {
        RINGSCOPE_INSTANT("caught");
    }
    return 0;
}
