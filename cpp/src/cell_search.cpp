#include "cell_search.hpp"

#include <bit>
#include <cmath>
#include <numeric>

namespace labelquorum {
namespace {

constexpr float no_limit = std::numeric_limits<float>::infinity();
constexpr float no_number = std::numeric_limits<float>::quiet_NaN();

}  // namespace

void CellSearch::run(const Task& task, const Effort& effort) {
    begin(task, effort.n_shortlist);
    choose(effort.reach);
    visitors_.resize(near_.size());
    for (auto& visitors : visitors_) visitors.clear();
    for (std::size_t q = 0; q < n_; ++q) {
        std::vector<Visit>& visits = visits_[q];
        if (radii_[q] == no_limit) {
            std::sort(visits.begin(), visits.end());
            visits.resize(n_needed(visits, effort.n_cells));
        } else if (visits.size() + 1 > effort.n_cells) {
            const auto end = visits.begin() + static_cast<std::ptrdiff_t>(effort.n_cells - 1);
            std::nth_element(visits.begin(), end, visits.end());
            visits.erase(end, visits.end());
        }
        for (const Visit& one : visits) {
            visitors_[one.near].push_back(static_cast<std::uint32_t>(q));
        }
    }
    for (std::size_t i = 0; i < near_.size(); ++i) {
        if (visitors_[i].empty()) continue;
        chosen_.swap(visitors_[i]);
        visit(near_[i].cell);
    }
}

std::size_t CellSearch::n_needed(const std::vector<Visit>& visits, std::size_t n_cells) const {
    std::size_t n_points = cells_.points().size(task_.cell);
    std::size_t n = 0;
    while (n < visits.size() && (n + 1 < n_cells || n_points <= 2 * k_)) {
        n_points += cells_.points().size(near_[visits[n++].near].cell);
    }
    return n;
}

void CellSearch::look_around(const Task& task) {
    begin(task, 2 * k_);
    choose(std::numeric_limits<double>::infinity());
}

void CellSearch::begin(const Task& task, std::size_t n_shortlist) {
    const std::size_t m = cells_.n_columns();
    task_ = task;
    n_ = task.end - task.begin;
    rows_.resize(n_ * m);
    const double* center = cells_.center(task.cell);
    squares_.assign(n_, 0.0);
    for (std::size_t q = 0; q < n_; ++q) {
        const float* row = queries_.coordinates.data() + (task.begin + q) * m;
        for (std::size_t c = 0; c < m; ++c) {
            rows_[q * m + c] = row[c] - center[c];
            squares_[q] += rows_[q * m + c] * rows_[q * m + c];
        }
    }
    if (shortlists_.size() < n_) shortlists_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) shortlists_[q].reset(n_shortlist);
    chosen_.resize(n_);
    std::iota(chosen_.begin(), chosen_.end(), 0U);
    visit(task.cell);
    radii_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) radii_[q] = shortlists_[q].distance(k_);
}

void CellSearch::visit(std::uint32_t cell) {
    const std::size_t m = cells_.n_columns();
    const DotTile& tile = multiply_.tile();
    const double* own = cells_.center(task_.cell);
    const double* other = cells_.center(cell);
    shift_.resize(m);
    for (std::size_t c = 0; c < m; ++c) shift_[c] = own[c] - other[c];
    query_squares_.resize(chosen_.size());
    no_numbers_.assign(tile.n_points, no_number);
    const std::size_t first_place = cells_.points().begins[cell];
    const std::size_t first_panel = cells_.first_panel(cell);
    multiply_(
        chosen_.size(),
        [&](std::size_t i, float* row) {
            const double* from = rows_.data() + chosen_[i] * m;
            double sum = 0;
            for (std::size_t c = 0; c < m; ++c) {
                const double value = from[c] + shift_[c];
                row[c] = static_cast<float>(value);
                sum += value * value;
            }
            query_squares_[i] = static_cast<float>(sum);
        },
        cells_.panels(), first_panel, cells_.n_panels(cell),
        [&](std::size_t i, std::size_t panel, const float* dots) {
            Shortlist& shortlist = shortlists_[chosen_[i]];
            const float* squares = cells_.squares(first_panel + panel);
            std::uint32_t bits =
                tile.within(dots, 2, no_number, shortlist.limit() - query_squares_[i], squares,
                            no_numbers_.data())
                    .query;
            for (; bits != 0; bits &= bits - 1) {
                const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                const std::size_t place = first_place + panel * tile.n_points + p;
                if (same_ && place == task_.begin + chosen_[i]) continue;
                shortlist.add({query_squares_[i] + (squares[p] - 2 * dots[p]),
                               static_cast<std::uint32_t>(place)});
            }
        });
}

void CellSearch::choose(double reach) {
    const std::size_t m = cells_.n_columns();
    const DotTile& tile = multiply_.tile();
    if (visits_.size() < n_) visits_.resize(n_);
    double longest = 0;
    double limit = 0;
    limits_.resize(n_);
    for (std::size_t q = 0; q < n_; ++q) {
        visits_[q].clear();
        limits_[q] = radii_[q] == no_limit ? no_limit : static_cast<float>(reach * radii_[q]);
        longest = std::max(longest, squares_[q]);
        limit = std::max(limit, static_cast<double>(limits_[q]));
    }
    longest = std::sqrt(longest);
    near_.clear();
    const double* own = cells_.center(task_.cell);
    for (std::uint32_t cell = 0; cell < cells_.points().n_cells(); ++cell) {
        if (cell == task_.cell || cells_.points().size(cell) == 0) continue;
        const double squares = precise_dot_tile().squared_distance(own, cells_.center(cell), m);
        // No query's gap is less than this.
        if (squares - 2 * longest * std::sqrt(squares) > limit) continue;
        near_.push_back({squares, cell});
    }
    std::sort(near_.begin(), near_.end());
    packed_.resize(near_.size(), m);
    gaps_.clear();
    std::vector<float> row(tile.columns_of_panel(m), 0.0F);
    for (std::size_t i = 0; i < near_.size(); ++i) {
        const double* other = cells_.center(near_[i].cell);
        for (std::size_t c = 0; c < m; ++c) row[c] = static_cast<float>(other[c] - own[c]);
        packed_.put(i, row.data());
        gaps_.push_back(static_cast<float>(near_[i].squares));
    }
    gaps_.resize(packed_.n_panels() * tile.n_points, no_number);
    no_numbers_.assign(tile.n_points, no_number);
    multiply_(
        n_,
        [&](std::size_t q, float* to) {
            for (std::size_t c = 0; c < m; ++c) to[c] = static_cast<float>(rows_[q * m + c]);
        },
        packed_, 0, packed_.n_panels(),
        [&](std::size_t q, std::size_t panel, const float* dots) {
            const float* squares = gaps_.data() + panel * tile.n_points;
            std::uint32_t bits =
                tile.within(dots, 2, no_number, limits_[q], squares, no_numbers_.data()).query;
            for (; bits != 0; bits &= bits - 1) {
                const auto p = static_cast<std::size_t>(std::countr_zero(bits));
                visits_[q].push_back({squares[p] - 2 * dots[p],
                                      static_cast<std::uint32_t>(panel * tile.n_points + p)});
            }
        });
}

}  // namespace labelquorum
