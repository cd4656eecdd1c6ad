from django.urls import path

from modules.users.api.views import LoginView, ProfileView, RegistrationView

urlpatterns = [
    path("", RegistrationView.as_view(), name="users-register"),
    path("login/", LoginView.as_view(), name="users-login"),
    path("me/", ProfileView.as_view(), name="users-me"),
]
