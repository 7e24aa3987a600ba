// Degrees, the agreement graph and co-association: every way gives the same numbers as the naive
// one.
#include <chrono>
#include <cmath>
#include <limits>
#include <memory>

#include "check.hpp"
#include "faults.hpp"
#include "labelquorum/agreement.hpp"
#include "naive.hpp"

using labelquorum::agreement_degrees;
using labelquorum::agreement_graph;
using labelquorum::Executor;
using labelquorum::SignatureTable;
using labelquorum::Way;
using naive::Columns;
using naive::planted;
using naive::Rows;

namespace {

struct Interrupted {};

constexpr int some_threads[] = {1, 2, 8};
constexpr Way ways[] = {Way::automatic, Way::subsets, Way::pairs, Way::blocks};

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

// Whether Way::subsets is fast enough for a test.
bool affordable(Way way, std::size_t m, std::size_t min_agree) {
    return way != Way::subsets || m <= 10 || min_agree + 2 >= m;
}

TEST(every_way_gives_the_naive_degrees) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 120; ++round) {
        const std::size_t m = std::vector<std::size_t>{1, 2, 5, 10, 24, 33, 70}[random() % 7];
        const Rows rows = planted(
            random, {.n = 1 + random() % 200,
                     .m = m,
                     .n_ids = random() % 2 == 0 ? 3 : 12,
                     .noise = 0.1 * static_cast<double>(random() % 6),
                     .abstain = 0.1 * static_cast<double>(random() % 3),
                     .max_id = random() % 2 == 0 ? 0 : std::numeric_limits<std::int32_t>::max()});
        const Case data = make_case(rows);
        for (const std::size_t min_agree : {std::size_t{1}, (m + 1) / 2, 1 + random() % m, m}) {
            const std::vector<std::int64_t> expected = naive::degrees(data.expected, min_agree);
            for (const Way way : ways) {
                if (!affordable(way, m, min_agree)) continue;
                CHECK(agreement_degrees(*data.table, min_agree, way,
                                        Executor(some_threads[random() % 3])) == expected);
            }
        }
    }
}

TEST(degrees_do_not_depend_on_threads_where_they_share_the_work) {
    std::mt19937_64 random(2);
    const Case data = make_case(planted(random, {.n = 2500, .m = 8, .noise = 0.5}));
    for (const std::size_t min_agree : {std::size_t{4}, std::size_t{7}}) {
        const auto expected = agreement_degrees(*data.table, min_agree, Way::pairs, Executor(1));
        for (const Way way : ways) {
            CHECK(agreement_degrees(*data.table, min_agree, way, Executor(3)) == expected);
        }
    }
}

TEST(thresholds_out_of_range_are_refused) {
    const Case data = make_case({{1, 2, 3}});
    for (const std::size_t bad : {std::size_t{0}, std::size_t{4}, SIZE_MAX}) {
        for (const Way way : ways) {
            CHECK_THROWS(std::invalid_argument,
                         agreement_degrees(*data.table, bad, way, Executor(1)));
        }
        CHECK_THROWS(std::invalid_argument, agreement_graph(*data.table, bad, Executor(1)));
    }
}

TEST(work_over_the_limit_is_refused) {
    std::mt19937_64 random(3);
    for (const std::size_t m : {std::size_t{64}, std::size_t{100}, std::size_t{1500}}) {
        const Case data = make_case(planted(random, {.n = 2000, .m = m, .noise = 0.5}));
        std::vector<std::int64_t> out(data.table->size());
        CHECK_THROWS(labelquorum::WorkLimitError,
                     agreement_degrees(*data.table, m / 2, Way::subsets, Executor(1)));
    }
}

TEST(the_graph_holds_the_naive_edges) {
    std::mt19937_64 random(4);
    for (int round = 0; round < 60; ++round) {
        const std::size_t m = std::vector<std::size_t>{1, 4, 10, 40, 70}[random() % 5];
        const Case data = make_case(
            planted(random, {.n = 1 + random() % 150, .m = m, .noise = 0.3, .abstain = 0.1}));
        const std::size_t min_agree = 1 + random() % m;
        const auto graph =
            agreement_graph(*data.table, min_agree, Executor(some_threads[random() % 3]));
        const std::size_t n = data.table->size();
        CHECK(graph.indptr.size() == n + 1);
        CHECK(graph.indices.size() == graph.votes.size());
        std::size_t edge = 0;
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(graph.indptr[i] == static_cast<std::int64_t>(edge));
            for (std::size_t j = 0; j < n; ++j) {
                const std::size_t votes =
                    naive::agree(data.expected.signatures[i], data.expected.signatures[j]);
                if (votes < min_agree) continue;
                CHECK(edge < graph.indices.size());
                CHECK(graph.indices[edge] == static_cast<std::int32_t>(j));
                CHECK(graph.votes[edge] == static_cast<std::int32_t>(votes));
                ++edge;
            }
        }
        CHECK(graph.indptr[n] == static_cast<std::int64_t>(edge));
        CHECK(graph.indices.size() == edge);
    }
}

double naive_coassociation(const naive::Row& a, const naive::Row& b) {
    const double agree = static_cast<double>(naive::agree(a, b));
    return agree / (agree + static_cast<double>(naive::differ(a, b)));  // 0 / 0 is NaN
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

template <class Index>
void check_coassociation(std::mt19937_64& random, int n_threads) {
    const Rows rows = planted(random, {.n = 100, .m = 7, .noise = 0.4, .abstain = 0.5});
    const Columns columns(rows);
    // As a list of pairs, and as a pattern of 100 rows with 0 to 4 entries each.
    std::vector<Index> pairs;
    std::vector<Index> indptr = {0};
    std::vector<Index> indices;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        for (std::size_t k = random() % 5; k > 0; --k) {
            pairs.push_back(static_cast<Index>(i));
            indices.push_back(static_cast<Index>(random() % rows.size()));
            pairs.push_back(indices.back());
        }
        indptr.push_back(static_cast<Index>(indices.size()));
    }
    std::vector<double> of_pairs(indices.size());
    std::vector<double> of_pattern(indices.size());
    const Executor executor(n_threads);
    labelquorum::coassociation(columns.view(), pairs.data(), indices.size(), of_pairs.data(),
                               executor);
    labelquorum::coassociation(columns.view(), indptr.data(), indices.data(), of_pattern.data(),
                               executor);
    for (std::size_t k = 0; k < indices.size(); ++k) {
        const double expected = naive_coassociation(rows[static_cast<std::size_t>(pairs[2 * k])],
                                                    rows[static_cast<std::size_t>(indices[k])]);
        CHECK(same(of_pairs[k], expected));
        CHECK(same(of_pattern[k], expected));
    }
    if (indices.empty()) return;
    for (const Index bad : {Index{-1}, Index{100}}) {
        pairs.back() = bad;
        CHECK_THROWS(std::out_of_range,
                     labelquorum::coassociation(columns.view(), pairs.data(), indices.size(),
                                                of_pairs.data(), executor));
        indices.back() = bad;
        CHECK_THROWS(std::out_of_range,
                     labelquorum::coassociation(columns.view(), indptr.data(), indices.data(),
                                                of_pattern.data(), executor));
    }
}

TEST(coassociation_equals_the_naive_ratio_and_checks_its_rows) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 20; ++round) {
        check_coassociation<std::int32_t>(random, some_threads[random() % 3]);
        check_coassociation<std::int64_t>(random, some_threads[random() % 3]);
    }
}

TEST(a_failed_allocation_anywhere_leaves_nothing_behind_and_the_next_call_is_right) {
    std::mt19937_64 random(6);
    const Case data = make_case(planted(random, {.n = 400, .m = 6, .noise = 0.4}));
    const std::vector<std::int64_t> expected = naive::degrees(data.expected, 4);
    std::vector<std::int64_t> out(data.table->size());
    for (const int n_threads : {1, 4}) {
        const Executor executor(n_threads);
        const std::size_t n_edges = agreement_graph(*data.table, 4, executor).indices.size();
        for (const Way way : ways) {
            out = agreement_degrees(*data.table, 4, way, executor);
            const long long held = faults::held.load();
            faults::for_each_allocation([&](long long k, bool only_once) {
                const bool done = faults::survives(
                    k, only_once, [&] { out = agreement_degrees(*data.table, 4, way, executor); });
                CHECK(!done || out == expected);
                CHECK(faults::held.load() == held);
            });
        }
        const long long held = faults::held.load();
        faults::for_each_allocation([&](long long k, bool only_once) {
            faults::survives(k, only_once, [&] {
                CHECK(agreement_graph(*data.table, 4, executor).indices.size() == n_edges);
            });
            CHECK(faults::held.load() == held);
        });
        CHECK(naive::holds(*data.table, data.expected));
    }
}

TEST(an_interrupt_at_any_moment_stops_every_way_within_a_second) {
    std::mt19937_64 random(7);
    const Case data = make_case(planted(random, {.n = 25'000, .m = 20, .n_ids = 4, .noise = 0.6}));
    std::vector<std::int64_t> out(data.table->size());
    for (const Way way : {Way::subsets, Way::pairs, Way::blocks}) {
        for (const int milliseconds : {0, 60, 170}) {
            using Clock = std::chrono::steady_clock;
            const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
            const Executor executor(1 + milliseconds % 2, {[end] {
                                                               if (Clock::now() >= end) {
                                                                   throw Interrupted{};
                                                               }
                                                           },
                                                           {}});
            try {
                agreement_degrees(*data.table, 10, way, executor);
            } catch (const Interrupted&) {
            }
            CHECK(Clock::now() - end < std::chrono::seconds(1));
        }
    }
    CHECK(naive::holds(*data.table, data.expected));
}

}  // namespace
