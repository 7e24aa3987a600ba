#include "labelquorum/propagation.hpp"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using labelquorum::Executor;
using labelquorum::GraphView;
using labelquorum::Propagation;
using labelquorum::PropagationRule;
using labelquorum::Seeds;

namespace {

struct Problem {
    std::vector<std::int64_t> indptr{0};
    std::vector<std::int64_t> indices;
    std::vector<double> weights;
    std::vector<std::int64_t> nodes;
    std::vector<double> values;
    std::size_t n_nodes = 0;
    std::size_t n_classes = 0;

    Propagation<double> solve(const PropagationRule& rule, int n_threads) const {
        const GraphView<std::int64_t, double> graph{indptr.data(), indices.data(), weights.data(),
                                                    n_nodes};
        const Seeds<double> seeds{nodes.data(), values.data(), nodes.size(), n_classes};
        return labelquorum::propagate(graph, seeds, rule, Executor(n_threads));
    }
};

Problem random_problem(std::mt19937_64& random) {
    Problem problem;
    problem.n_nodes = 1 + random() % 3000;
    problem.n_classes = 1 + random() % 40;
    const std::size_t degree = 1 + random() % 8;
    for (std::size_t i = 0; i < problem.n_nodes; ++i) {
        for (std::size_t e = random() % (degree + 1); e > 0; --e) {
            problem.indices.push_back(static_cast<std::int64_t>(random() % problem.n_nodes));
            problem.weights.push_back(static_cast<double>(random() % 5) / 20);
        }
        problem.indptr.push_back(static_cast<std::int64_t>(problem.indices.size()));
        if (i == 0 || random() % 50 == 0) {
            problem.nodes.push_back(static_cast<std::int64_t>(i));
            for (std::size_t c = 0; c < problem.n_classes; ++c) {
                problem.values.push_back(static_cast<double>(random() % 3));
            }
        }
    }
    return problem;
}

// One iteration, as the header defines it.
std::vector<double> iterated(const Problem& problem, const PropagationRule& rule,
                             const std::vector<double>& before) {
    const std::size_t m = problem.n_classes;
    std::vector<double> after(before.size(), 0.0);
    for (std::size_t i = 0; i < problem.n_nodes; ++i) {
        const auto end = static_cast<std::size_t>(problem.indptr[i + 1]);
        double total = 0;
        for (std::size_t c = 0; c < m; ++c) {
            double sum = 0;
            for (auto e = static_cast<std::size_t>(problem.indptr[i]); e < end; ++e) {
                sum += problem.weights[e] *
                       before[static_cast<std::size_t>(problem.indices[e]) * m + c];
            }
            after[i * m + c] = rule.clamped ? sum : rule.from_neighbors * sum;
            total += sum;
        }
        if (rule.clamped && total > 0) {
            for (std::size_t c = 0; c < m; ++c) after[i * m + c] /= total;
        }
    }
    for (std::size_t s = 0; s < problem.nodes.size(); ++s) {
        for (std::size_t c = 0; c < m; ++c) {
            double& value = after[static_cast<std::size_t>(problem.nodes[s]) * m + c];
            const double seed = problem.values[s * m + c];
            value = rule.clamped ? seed : value + rule.from_seeds * seed;
        }
    }
    return after;
}

TEST(values_equal_plain_iterations_for_any_number_of_threads) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 40; ++round) {
        const Problem problem = random_problem(random);
        const PropagationRule rule{0.8, 0.3, round % 2 == 1, 1 + random() % 12, 0.0};
        std::vector<double> expected(problem.n_nodes * problem.n_classes, 0.0);
        for (std::size_t s = 0; s < problem.nodes.size(); ++s) {
            for (std::size_t c = 0; c < problem.n_classes; ++c) {
                expected[static_cast<std::size_t>(problem.nodes[s]) * problem.n_classes + c] =
                    problem.values[s * problem.n_classes + c];
            }
        }
        for (std::size_t i = 0; i < rule.max_iter; ++i)
            expected = iterated(problem, rule, expected);
        const auto found = problem.solve(rule, 1);
        CHECK(found.n_iter == rule.max_iter);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            CHECK(std::abs(found.values[i] - expected[i]) <= 1e-12 * (1 + std::abs(expected[i])));
        }
        for (const int n_threads : {2, 5}) {
            CHECK(problem.solve(rule, n_threads).values == found.values);
        }
    }
}

TEST(it_ends_when_little_changes_and_tells_what_was_reached) {
    Problem problem;  // 0 <- 1 <- 2 <- 3, and 4 alone
    problem.n_nodes = 5;
    problem.n_classes = 1;
    problem.indptr = {0, 0, 1, 2, 3, 3};
    problem.indices = {0, 1, 2};
    problem.weights = {1, 1, 1};
    problem.nodes = {0};
    problem.values = {1};
    const auto cut = problem.solve({0.5, 0.5, false, 2, 0.0}, 1);
    CHECK(cut.reached == std::vector<std::uint8_t>{1, 1, 1, 0, 0});
    CHECK(cut.spreading && !cut.converged && cut.n_iter == 2);
    const auto whole = problem.solve({0.5, 0.5, false, 100, 1e-6}, 1);
    CHECK(whole.reached == std::vector<std::uint8_t>{1, 1, 1, 1, 0});
    CHECK(!whole.spreading && whole.converged && whole.n_iter < 100);
    CHECK(whole.values[4] == 0);
}

TEST(bad_graphs_and_seeds_are_refused) {
    std::mt19937_64 random(2);
    const PropagationRule rule{0.5, 0.5, false, 3, 0.0};
    Problem good = random_problem(random);
    while (good.indices.empty()) good = random_problem(random);
    const auto refused = [&](auto&& damage) {
        Problem bad = good;
        damage(bad);
        CHECK_THROWS(std::invalid_argument, bad.solve(rule, 2));
    };
    const auto n = static_cast<std::int64_t>(good.n_nodes);
    refused([&](Problem& bad) { bad.indices[0] = n; });
    refused([&](Problem& bad) { bad.indices.back() = -1; });
    refused([&](Problem& bad) { bad.indptr[0] = 1; });
    refused([&](Problem& bad) { bad.nodes[0] = n; });
    refused([&](Problem& bad) { bad.nodes[0] = -1; });
    refused([&](Problem& bad) {
        bad.nodes.push_back(bad.nodes[0]);
        for (std::size_t c = 0; c < bad.n_classes; ++c) bad.values.push_back(0);
    });
}

}  // namespace
