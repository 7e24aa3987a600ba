// A test is TEST(name) { ... } with CHECK and CHECK_THROWS. This header defines main, so exactly
// one source of a program includes it. An argument runs only tests whose names contain it.
#pragma once

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace check {

struct Case {
    const char* name;
    void (*run)();
};

inline std::vector<Case>& cases() {
    static std::vector<Case> all;
    return all;
}

struct Registration {
    Registration(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

[[noreturn]] inline void fail(const char* file, int line, const char* what) {
    std::fprintf(stderr, "%s:%d: %s\n", file, line, what);
    std::exit(1);
}

}  // namespace check

#define TEST(name)                                                   \
    static void name();                                              \
    static const check::Registration registered_##name(#name, name); \
    static void name()

#define CHECK(...)                           \
    (static_cast<bool>(__VA_ARGS__) ? void() \
                                    : check::fail(__FILE__, __LINE__, "failed: " #__VA_ARGS__))

#define CHECK_THROWS(Exception, ...)                                                 \
    do {                                                                             \
        bool thrown_ = false;                                                        \
        try {                                                                        \
            __VA_ARGS__;                                                             \
        } catch (const Exception&) {                                                 \
            thrown_ = true;                                                          \
        }                                                                            \
        if (!thrown_) {                                                              \
            check::fail(__FILE__, __LINE__, "no " #Exception " from " #__VA_ARGS__); \
        }                                                                            \
    } while (false)

int main(int argc, char** argv) {
    int n_run = 0;
    for (const check::Case& test : check::cases()) {
        if (argc > 1 && std::strstr(test.name, argv[1]) == nullptr) continue;
        const auto start = std::chrono::steady_clock::now();
        test.run();
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        std::printf("%6.2f s  %s\n", seconds.count(), test.name);
        std::fflush(stdout);
        ++n_run;
    }
    return n_run > 0 ? 0 : 1;
}
