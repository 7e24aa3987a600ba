// Greedy extraction gives exactly the labels of the published procedure.
#include <chrono>
#include <limits>
#include <memory>

#include "check.hpp"
#include "faults.hpp"
#include "labelquorum/mini_clusters.hpp"
#include "naive.hpp"

using labelquorum::Executor;
using labelquorum::mini_clusters;
using labelquorum::MiniClusterOptions;
using labelquorum::SignatureTable;
using naive::Columns;
using naive::planted;
using naive::Rows;

namespace {

struct Interrupted {};

constexpr int some_threads[] = {1, 2, 8};

struct Case {
    naive::Table expected;
    std::unique_ptr<SignatureTable> table;
};

Case make_case(const Rows& rows) {
    Case result{{}, std::make_unique<SignatureTable>(rows.front().size())};
    result.expected.update(rows);
    std::vector<std::int32_t> ids(rows.size());
    result.table->update(Columns(rows).view(), ids.data(), Executor(1));
    return result;
}

std::vector<std::int32_t> labels_of(const SignatureTable& table, const MiniClusterOptions& options,
                                    const std::vector<std::uint8_t>& eligible,
                                    const Executor& executor) {
    if (eligible.empty()) return mini_clusters(table, options, {}, executor);
    return mini_clusters(table, options, eligible, executor);
}

std::vector<std::int32_t> expected_labels(const naive::Table& table,
                                          const MiniClusterOptions& options,
                                          const std::vector<std::uint8_t>& eligible) {
    return naive::mini_clusters(table, options.n_clusters, options.min_agree, options.min_differ,
                                options.min_size, eligible);
}

TEST(labels_equal_the_naive_procedure) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 400; ++round) {
        const std::size_t m = std::vector<std::size_t>{1, 2, 5, 10, 24, 70}[random() % 6];
        const Case data =
            make_case(planted(random, {.n = 1 + random() % 100,
                                       .m = m,
                                       .n_groups = 1 + static_cast<int>(random() % 6),
                                       .n_ids = random() % 2 == 0 ? 2 : 12,
                                       .noise = 0.1 * static_cast<double>(random() % 6),
                                       .abstain = 0.1 * static_cast<double>(random() % 3)}));
        MiniClusterOptions options;
        options.n_clusters = random() % 2 == 0 ? SIZE_MAX : 1 + random() % 5;
        options.min_agree = 1 + random() % m;
        options.min_differ = random() % (m + 1);
        options.min_size = static_cast<std::int64_t>(1 + random() % 4);
        std::vector<std::uint8_t> eligible;
        if (random() % 2 == 0) {
            for (std::size_t i = 0; i < data.table->size(); ++i) {
                eligible.push_back(random() % 4 != 0 ? 1 : 0);
            }
        }
        CHECK(labels_of(*data.table, options, eligible, Executor(some_threads[random() % 3])) ==
              expected_labels(data.expected, options, eligible));
    }
}

TEST(labels_do_not_depend_on_threads_where_they_share_the_work) {
    std::mt19937_64 random(2);
    // More than two blocks of a scan.
    const Case data = make_case(planted(random, {.n = 160'000, .m = 6, .n_ids = 20, .noise = 0.7}));
    CHECK(data.table->size() > (std::size_t{1} << 17));
    for (const std::size_t min_differ : {std::size_t{3}, std::size_t{5}}) {
        const MiniClusterOptions options{
            .n_clusters = 4, .min_agree = 5, .min_differ = min_differ, .min_size = 1};
        const auto expected = labels_of(*data.table, options, {}, Executor(1));
        CHECK(labels_of(*data.table, options, {}, Executor(3)) == expected);
    }
}

TEST(options_out_of_range_are_refused) {
    const Case data = make_case({{1, 2, 3}});
    const auto refused = [&](MiniClusterOptions options) {
        CHECK_THROWS(std::invalid_argument, mini_clusters(*data.table, options, {}, Executor(1)));
    };
    refused({.min_agree = 0});
    refused({.min_agree = 4});
    refused({.min_differ = 4});
    refused({.min_size = 0});
}

TEST(a_failed_allocation_anywhere_leaves_nothing_behind_and_the_table_usable) {
    std::mt19937_64 random(3);
    const Case data = make_case(planted(random, {.n = 400, .m = 6, .noise = 0.3}));
    const MiniClusterOptions options{.min_agree = 5, .min_differ = 4};
    const auto expected = expected_labels(data.expected, options, {});
    std::vector<std::int32_t> labels(data.table->size());
    for (const int n_threads : {1, 4}) {
        const Executor executor(n_threads);
        labels = mini_clusters(*data.table, options, {}, executor);
        const long long held = faults::held.load();
        faults::for_each_allocation([&](long long k, bool only_once) {
            const bool done = faults::survives(
                k, only_once, [&] { labels = mini_clusters(*data.table, options, {}, executor); });
            CHECK(!done || labels == expected);
            CHECK(faults::held.load() == held);
        });
        CHECK(naive::holds(*data.table, data.expected));
    }
}

TEST(an_interrupt_at_any_moment_stops_within_a_second_and_the_table_stays) {
    std::mt19937_64 random(4);
    // About 40,000 mini-clusters of one signature each, so that extraction takes long.
    const Case data = make_case(
        planted(random, {.n = 40'000, .m = 4, .n_ids = 100, .noise = 1.0, .abstain = 0.0}));
    std::vector<std::int32_t> labels(data.table->size());
    for (const int milliseconds : {0, 60, 170, 400}) {
        using Clock = std::chrono::steady_clock;
        const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
        const auto poll = [end] {
            if (Clock::now() >= end) throw Interrupted{};
        };
        try {
            mini_clusters(*data.table, {.min_agree = 3, .min_differ = 1}, {},
                          Executor(milliseconds == 60 ? 1 : 2, {poll, {}}));
        } catch (const Interrupted&) {
        }
        CHECK(Clock::now() - end < std::chrono::seconds(1));
    }
    CHECK(naive::holds(*data.table, data.expected));
}

}  // namespace
